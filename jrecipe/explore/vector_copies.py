"""Near copies among vectors and all other inputs: the same numbers but for a little noise (A1)."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.checks.neighbours import maker_of, projection
from jrecipe.explore.forest import neighbours
from jrecipe.explore.gather import Gathered
from jrecipe.explore.jumps import largest_ratio, nearer_by_far

_NEAR = 8  # neighbours compared


def vector_pairs(gathered: Gathered, rows: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Returns pairs of near copies among the given rows, int[p, 2] into `rows`, smaller first.

    In few directions rows are near to each other by chance, and only those count as copies that
    are nearer than that; among numbers of two or three columns there may be none.

    Args:
      gathered: all examples.
      rows: int[k], no two of them equal.
      seed: of the projection and of the search.
    """
    if len(rows) < 16:
        return np.zeros((0, 2), int)
    which, distance = neighbours(points_of(gathered, seed)[rows], _NEAR, seed=seed)
    copies = nearer_by_far(distance, largest_ratio(distance))
    hits, places = np.nonzero((np.arange(_NEAR) < copies[:, None]) & (which >= 0))
    return np.unique(np.sort(np.stack([hits, which[hits, places]], axis=1), axis=1), axis=0)


def points_of(gathered: Gathered, seed: int) -> np.ndarray:
    """Returns all rows as points float32[n, d], d at most 64, made as the checks make them.

    Args:
      gathered: all examples.
      seed: of the projection.
    """
    train = gathered.rows_of("train")
    few = train[np.linspace(0, len(train) - 1, min(len(train), 8000)).astype(int)]
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gathered.inputs)]
    makers = [maker_of(leaf[few]) for leaf in leaves]
    make = lambda some: np.concatenate(  # noqa: E731
        [maker(leaf[some]) for maker, leaf in zip(makers, leaves, strict=True)], axis=1
    )
    project = projection(make(few), seed)
    parts = [project(make(slice(start, start + 8192))) for start in range(0, len(gathered), 8192)]
    return np.concatenate(parts).astype(np.float32)
