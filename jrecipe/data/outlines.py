"""Outlines of the shapes that `SyntheticShapes` draws: polygons around the origin.

Each is seen from its centre in every direction once, so that one radius for each direction says
where it ends.
"""

from __future__ import annotations

import functools

import numpy as np

_DIRECTIONS = 720


def _regular(n: int) -> np.ndarray:
    angle = 2 * np.pi * np.arange(n) / n
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1)


def _star(n: int, inner: float) -> np.ndarray:
    corners = _regular(2 * n)
    corners[1::2] *= inner
    return corners


def _cross(width: float) -> np.ndarray:
    a, b = width, np.sqrt(1 - width**2)
    quarter = np.array([[-a, -b], [a, -b], [a, -a]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    turns = [np.linalg.matrix_power(turn, k) for k in range(4)]
    return np.concatenate([quarter @ one for one in turns])


def _drop() -> np.ndarray:
    """Returns a round shape with one tip: it shows which way it is turned."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = 0.55 + 0.45 * np.exp(-((np.minimum(angle, 2 * np.pi - angle) / 0.45) ** 2))
    return np.stack([np.sin(angle), -np.cos(angle)], axis=1) * radius[:, None]


# Vertices float64[v, 2] as x, y with y downwards, farthest at distance 1; the first is the tip.
OUTLINES: dict[str, np.ndarray] = {
    "circle": _regular(64),
    "square": _regular(4),
    "triangle": _regular(3),
    "star": _star(5, 0.45),
    "cross": _cross(0.3),
    "hexagon": _regular(6),
    "diamond": _regular(4) * np.array([0.55, 1.0]),
    "drop": _drop(),
}


@functools.cache
def radii(name: str) -> np.ndarray:
    """Returns float64[720]: how far the outline is in each direction, from the first axis on."""
    corners = OUTLINES[name]
    after = np.roll(corners, -1, axis=0)
    angle = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    ray = np.stack([np.cos(angle), np.sin(angle)], axis=1)[:, None]
    edge = (after - corners)[None]
    cross = lambda a, b: a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]  # noqa: E731
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = cross(corners[None], edge) / cross(ray, edge)
        along = cross(corners[None], ray) / cross(ray, edge)
    hit = (along >= -1e-9) & (along <= 1 + 1e-9) & (distance > 0)
    return np.where(hit, distance, 0.0).max(axis=1)


def placed(name: str, centre: np.ndarray, radius: float, turn: float) -> np.ndarray:
    """Returns the vertices float64[v, 2] of a shape at a place, in a size and turned by radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    return centre + radius * OUTLINES[name] @ np.array([[cos, sin], [-sin, cos]])


def covers(
    name: str, centre: np.ndarray, radius: float, turn: float, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Returns which points, given as arrays x and y that broadcast, a placed shape covers."""
    across, down = x - centre[0], y - centre[1]
    angle = np.arctan2(down, across) - turn
    at = np.round(angle / (2 * np.pi) * _DIRECTIONS).astype(int) % _DIRECTIONS
    return np.hypot(across, down) <= radius * radii(name)[at]
