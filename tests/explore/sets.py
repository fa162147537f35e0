"""Small sets of examples for tests of the explorer."""

from __future__ import annotations

import numpy as np

from jrecipe.data import ArraySource
from jrecipe.explore import Data


def shapes(n, seed=0, side=16):
    """Pictures float32[n, side, side, 1] of smooth noise, all different."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((n, 6, 6))
    grid = np.linspace(0, 5, side)
    low = np.minimum(grid.astype(int), 4)
    part = grid - low
    rows = coarse[:, low] * (1 - part)[None, :, None] + coarse[:, low + 1] * part[None, :, None]
    both = rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part
    return both[..., None].astype(np.float32)


def blobs(n, classes=3, width=8, seed=0):
    """Vectors float32[n, width] around one centre for each class, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    centres = 3 * rng.normal(size=(classes, width))
    return (centres[labels] + rng.normal(size=(n, width))).astype(np.float32), labels


def data(inputs, targets, val=None, texts=None, **fields):
    """Data with a training split and perhaps another."""
    splits = {
        "train": ArraySource(inputs, targets if isinstance(targets, dict) else np.asarray(targets))
    }
    if val is not None:
        splits["val"] = ArraySource(val[0], np.asarray(val[1]))
    return Data(name="set", splits=splits, texts=texts or {}, **fields)


def words(count, seed=0):
    """Made-up words, all different."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghiklmnoprstuvw"))
    return ["".join(rng.choice(letters, rng.integers(3, 9))) + str(i % 7) for i in range(count)]


def sentences(n, seed=0, length=14):
    """Texts of words drawn at random, all different."""
    rng = np.random.default_rng(seed)
    known = words(600)
    return [" ".join(rng.choice(known, length)) for _ in range(n)]
