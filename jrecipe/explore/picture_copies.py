"""Near copies among pictures: mirrored, moved by a pixel, recompressed, brighter or paler (A1)."""

from __future__ import annotations

import numpy as np

from jrecipe.checks.neighbours import projection
from jrecipe.explore.forest import neighbours
from jrecipe.explore.jumps import largest_ratio, nearer_by_far

_FINE = 32  # pixels a side in which pictures are compared
_WAVES = 9  # lowest frequencies a side by which candidates are sought
_WIDTH = 48  # numbers by which candidates are sought
_NEAR = 8  # neighbours compared
_SHIFTS = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
_LEAST = 0.9  # correlation of pixels that copies have


def picture_pairs(pictures: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Returns pairs of pictures that are near copies, int[p, 2], the smaller number first.

    Candidates have nearly the same spectrum, which neither a move nor a mirror changes, and far
    nearer than chance would have it; they are then compared pixel by pixel, mirrored or not, at
    nine places.

    Args:
      pictures: uint8[n, h, w, c], no two of them equal.
      seed: of the search for candidates.
    """
    n = len(pictures)
    if n < 4 or min(pictures.shape[1:3]) < 6:
        return np.zeros((0, 2), int)
    points = _spectra(pictures)
    few = np.random.default_rng((seed % 2**32, 37)).permutation(n)[:8000]
    points = projection(points[few], seed, _WIDTH)(points)
    which, distance = neighbours(points, _NEAR, seed=seed)
    near = nearer_by_far(distance, largest_ratio(distance))
    rows = np.flatnonzero(near > 0)
    apart = _compared(pictures, rows, which[rows])
    candidate = np.arange(_NEAR) < near[rows, None]
    # Standardised pictures with correlation r are sqrt(2 - 2 r) apart.
    close = candidate & (apart <= (2 - 2 * _LEAST) ** 0.5)
    hits, places = np.nonzero(close)
    pairs = np.sort(np.stack([rows[hits], which[rows[hits], places]], axis=1), axis=1)
    return np.unique(pairs, axis=0)


def _spectra(pictures: np.ndarray) -> np.ndarray:
    """Returns the size of the lowest frequencies of each picture, float32[n, f], of length 1."""
    step = max(1, round(max(pictures.shape[1:3]) / _FINE))
    parts = []
    for start in range(0, len(pictures), 4096):
        some = _standardised(_fine(pictures[start : start + 4096], step)).mean(axis=3)
        waves = np.abs(np.fft.rfft2(some, axes=(1, 2))).astype(np.float32)
        high = min(_WAVES, some.shape[1] // 2 + 1)
        down = np.arange(high)
        both = waves[:, down] + waves[:, -down]  # a mirror exchanges the two
        sizes = np.sqrt(both[:, :, :_WAVES]).reshape(len(some), -1)
        parts.append(sizes / np.maximum(np.linalg.norm(sizes, axis=1, keepdims=True), 1e-6))
    return np.concatenate(parts)


def _standardised(pictures: np.ndarray) -> np.ndarray:
    """Takes the mean off each picture and gives it length 1; blank ones stay 0."""
    flat = pictures.reshape(len(pictures), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.sqrt((flat**2).sum(axis=1, keepdims=True))
    scaled: np.ndarray = flat / np.maximum(length, 1e-6)
    return scaled.reshape(pictures.shape)


def _compared(pictures: np.ndarray, rows: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Returns how far rows are from candidates at the best of nine places, float32[k, m].

    Candidates are taken as they are or mirrored, whatever is nearer.

    Args:
      pictures: uint8[n, h, w, c].
      rows: int[k].
      which: int[k, m], -1 for none.
    """
    step = max(1, round(max(pictures.shape[1:3]) / _FINE))
    result = np.full(which.shape, np.inf, np.float32)
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        own = _fine(pictures[rows[part]], step)
        own = _standardised(own[:, 1:-1, 1:-1])
        for column in range(which.shape[1]):
            who = which[part, column]
            other = _fine(pictures[who], step)
            h, w = other.shape[1:3]
            nearest = np.full(len(who), -np.inf, np.float32)
            for down, right in _SHIFTS:
                moved = other[:, 1 + down : h - 1 + down, 1 + right : w - 1 + right]
                moved = _standardised(moved)
                for shown in (moved, moved[:, :, ::-1]):
                    alike = np.einsum("khwc,khwc->k", own, shown)
                    nearest = np.maximum(nearest, alike)
            apart = np.sqrt(np.maximum(2 - 2 * nearest, 0))
            result[part, column] = np.where(who >= 0, apart, np.inf)
    return result


def _fine(pictures: np.ndarray, step: int) -> np.ndarray:
    n, h, w, c = pictures.shape
    cut = pictures[:, : h // step * step, : w // step * step].astype(np.float32)
    if step == 1:
        return cut
    means: np.ndarray = cut.reshape(n, h // step, step, w // step, step, c).mean(axis=(2, 4))
    return means
