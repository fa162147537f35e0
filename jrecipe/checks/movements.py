"""What an augmentation did to each picture: turned, mirrored, shifted, or none of it.

A picture that was mirrored is, pixel for pixel, the mirror image of the original, whatever was done
to its colours on top. So each of the eight ways to lay a rectangle onto itself is tried, at all
small shifts at once by a Fourier transform, and the best is believed if it is much better than the
next: pictures that look the same either way say nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

IDENTITY = 0
TURNS: tuple[tuple[str, Callable[[np.ndarray], np.ndarray]], ...] = (
    ("identity", lambda x: x),
    ("horizontal flip", lambda x: x[:, :, ::-1]),
    ("vertical flip", lambda x: x[:, ::-1]),
    ("half turn", lambda x: x[:, ::-1, ::-1]),
    ("transpose", lambda x: x.swapaxes(1, 2)),
    ("quarter turn", lambda x: x.swapaxes(1, 2)[:, ::-1]),
    ("three-quarter turn", lambda x: x.swapaxes(1, 2)[:, :, ::-1]),
    ("anti-transpose", lambda x: x[:, ::-1, ::-1].swapaxes(1, 2)),
)
PIXELS = 20_000  # pixels searched for shifts at the most, but at least a few pictures


@dataclasses.dataclass(frozen=True)
class Moves:
    """How pictures were moved.

    Attributes:
      turn: int[n], index into `TURNS`.
      down: int[n], shift along the height after the turn.
      right: int[n], shift along the width.
      score: float[n], correlation with the original so moved, over what overlaps.
      known: bool[n], whether no other movement comes near.
    """

    turn: np.ndarray
    down: np.ndarray
    right: np.ndarray
    score: np.ndarray
    known: np.ndarray

    @property
    def moved(self) -> np.ndarray:
        """bool[n]: known, and not left in place."""
        still = (self.turn == IDENTITY) & (self.down == 0) & (self.right == 0)
        return self.known & ~still

    def named(self, i: int) -> str:
        """Returns what was done to picture `i`, as "horizontal flip" or "shift"."""
        if self.turn[i] != IDENTITY:
            return TURNS[int(self.turn[i])][0]
        return "shift" if self.down[i] or self.right[i] else "identity"


def _grey(pictures: np.ndarray) -> np.ndarray:
    """Returns float64[n, h, w] of zero mean."""
    x = pictures.astype(np.float64)
    x = x.mean(axis=3) if x.ndim == 4 else x
    return x - x.mean(axis=(1, 2), keepdims=True)


def _correlations(before: np.ndarray, after: np.ndarray, reach: tuple[int, int]) -> np.ndarray:
    """Returns float[n, 2 * reach[0] + 1, 2 * reach[1] + 1]: correlation at each shift."""
    height, width = before.shape[1:]
    size = (2 * height, 2 * width)

    def spectrum(x: np.ndarray) -> np.ndarray:
        return np.fft.rfft2(x, size)

    rows = np.arange(-reach[0], reach[0] + 1) % size[0]
    columns = np.arange(-reach[1], reach[1] + 1) % size[1]

    def sums(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        full = np.fft.irfft2(np.conj(a) * b, size)
        picked: np.ndarray = full[:, rows[:, None], columns[None, :]]
        return picked

    ones = spectrum(np.ones((1, height, width)))
    a, b = spectrum(before), spectrum(after)
    count = np.maximum(sums(ones, ones), 1.0)
    sum_a, sum_b = sums(a, ones), sums(ones, b)
    within_a = sums(spectrum(before**2), ones) - sum_a**2 / count
    within_b = sums(ones, spectrum(after**2)) - sum_b**2 / count
    least = (
        1e-6 * np.sqrt((before**2).sum(axis=(1, 2)) * (after**2).sum(axis=(1, 2)))[:, None, None]
    )
    scale = np.sqrt(np.maximum(within_a, 0) * np.maximum(within_b, 0))
    together = sums(a, b) - sum_a * sum_b / count
    found = np.where(scale > least, together / np.maximum(scale, 1e-300), -1.0)
    return np.where(count >= 0.4 * height * width, found, -1.0)


def _usable(height: int, width: int) -> list[int]:
    """Returns the turns that keep the shape; strips of height 1 can only be reversed."""
    if height == 1:
        return [0, 1]
    return list(range(8 if height == width else 4))


def recognise(before: np.ndarray, after: np.ndarray, least: float = 0.8) -> Moves:
    """Recognises how pictures were moved.

    Pictures that equal one turn of the original, pixel for pixel, are settled at once; of the
    others, as many as `PIXELS` allows are searched for shifts, and the rest is not known.

    Args:
      before: float[n, h, w] or [n, h, w, c].
      after: the same shape.
      least: correlation below which nothing is recognised.
    """
    n, height, width = before.shape[:3]
    moves = Moves(
        turn=np.zeros(n, int),
        down=np.zeros(n, int),
        right=np.zeros(n, int),
        score=np.zeros(n),
        known=np.zeros(n, bool),
    )
    equal = np.stack(
        [(TURNS[k][1](before) == after).reshape(n, -1).all(axis=1) for k in _usable(height, width)]
    )
    exact = equal.any(axis=0)
    moves.turn[exact] = equal.argmax(axis=0)[exact]
    moves.score[exact] = 1.0
    moves.known[exact] = equal.sum(axis=0)[exact] == 1
    rest = np.flatnonzero(~exact)[: max(32, PIXELS // (height * width))]
    if len(rest):
        found = _search(before[rest], after[rest], least)
        for field in dataclasses.fields(Moves):
            getattr(moves, field.name)[rest] = getattr(found, field.name)
    return moves


def _search(before: np.ndarray, after: np.ndarray, least: float) -> Moves:
    """Recognises movements with shifts by correlation."""
    a, b = _grey(before), _grey(after)
    n, height, width = a.shape
    reach = (0 if height == 1 else max(1, height // 3), 0 if width == 1 else max(1, width // 3))
    shifts = (2 * reach[0] + 1) * (2 * reach[1] + 1)
    down, right = np.meshgrid(
        np.arange(-reach[0], reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij"
    )
    # Among equals, the smallest shift and the earliest turn.
    handicap = (1e-9 * (down**2 + right**2)).reshape(-1)
    scores = np.full((len(TURNS), n, shifts), -1.0)
    for k in _usable(height, width):
        scores[k] = _correlations(TURNS[k][1](a), b, reach).reshape(n, -1) - handicap - 1e-8 * k
    per_turn = scores.max(axis=2)
    turn = per_turn.argmax(axis=0)
    score = per_turn.max(axis=0)
    own = scores[turn, np.arange(n)]
    place = own.argmax(axis=1)
    other_turn = per_turn.copy()
    other_turn[turn, np.arange(n)] = -1.0
    other_shift = own.copy()
    other_shift[np.arange(n), place] = -1.0
    left = np.maximum(1 - score, 0)
    clear = (1 - other_turn.max(axis=0) >= 2 * left + 0.01) & (
        1 - other_shift.max(axis=1) >= 2 * left + 0.002
    )
    return Moves(
        turn=turn,
        down=down.reshape(-1)[place],
        right=right.reshape(-1)[place],
        score=score,
        known=(score >= least) & clear,
    )


def moved_like(picture: np.ndarray, moves: Moves, i: int) -> tuple[np.ndarray, np.ndarray]:
    """Moves one picture as picture `i` was moved.

    Args:
      picture: [h, w] or [h, w, c].
      moves: what was recognised.
      i: which of it.

    Returns:
      `(picture, inside bool[h, w])`; outside of `inside` it is not known what filled the edge.
    """
    turned = TURNS[int(moves.turn[i])][1](picture[None])[0]
    down, right = int(moves.down[i]), int(moves.right[i])
    inside = np.zeros(turned.shape[:2], bool)
    height, width = inside.shape
    result = np.zeros_like(turned)
    to = (
        slice(max(down, 0), height + min(down, 0)),
        slice(max(right, 0), width + min(right, 0)),
    )
    source = (
        slice(max(-down, 0), height + min(-down, 0)),
        slice(max(-right, 0), width + min(-right, 0)),
    )
    result[to], inside[to] = turned[source], True
    return result, inside


def views(leaf: np.ndarray) -> list[tuple[int, ...]]:
    """Returns the shapes of one example under which a leaf may be a picture, best first.

    Pictures [n, h, w(, c)] as they are; rows [n, f] also as squares, and as strips of height 1, as
    which signals [n, t, c] of up to three channels are seen.
    """
    if leaf.dtype.kind not in "fiu" or leaf.size == 0:
        return []
    if leaf.ndim in (3, 4) and min(leaf.shape[1:3]) >= 4 and leaf.shape[3:] <= (16,):
        return [leaf.shape[1:]]
    if leaf.ndim == 3 and leaf.shape[1] >= 6 and leaf.shape[2] <= 3:
        return [(1, *leaf.shape[1:])]
    if leaf.ndim != 2 or leaf.shape[1] < 6:
        return []
    found: list[tuple[int, ...]] = []
    for channels in (1, 3):
        side = round((leaf.shape[1] / channels) ** 0.5)
        if side >= 4 and side * side * channels == leaf.shape[1]:
            found.append((side, side) if channels == 1 else (side, side, 3))
    return [*found, (1, leaf.shape[1])]
