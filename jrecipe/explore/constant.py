"""Numbers of the inputs that never change, where that is no part of what the inputs are (A2)."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe.explore.gather import Gathered


def constant_inputs(gathered: Gathered) -> tuple[list[str], int]:
    """Returns names of numbers that have one value in all training rows, and how many there are.

    The border of pictures may well be black: a pixel counts only if all eight around it vary. Words
    of texts do not count, and columns of files are looked at when they are read.

    Args:
      gathered: all examples.
    """
    if gathered.texts is not None or gathered.data.table is not None:
        return [], 0
    train = gathered.rows_of("train")
    found: list[str] = []
    total = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(gathered.inputs):
        rows = np.asarray(leaf)[train]
        same = _same(rows)
        total += same.size
        name = jax.tree_util.keystr(path) or "x"
        if gathered.pictures is not None and rows.ndim >= 3:
            same = dead_pixels(same if same.ndim == 3 else same[..., None])
        found += [f"{name}[{', '.join(map(str, place))}]" for place in np.argwhere(same)]
    return found, total


def _same(rows: np.ndarray) -> np.ndarray:
    """Returns bool[...]: which numbers of a row are equal in all rows; NaN equals NaN."""
    if len(rows) < 2:
        return np.zeros(rows.shape[1:], bool)
    first = rows[:1]
    both = (rows == first) | ((rows != rows) & (first != first))
    result: np.ndarray = both.all(axis=0)
    return result


def dead_pixels(same: np.ndarray) -> np.ndarray:
    """Returns which constant pixels have no constant pixel around them, bool[h, w, c].

    Args:
      same: bool[h, w, c], pixels that are constant.

    Example:
      >>> same = np.zeros((5, 5, 1), bool)
      >>> same[0], same[3, 2] = True, True
      >>> np.argwhere(dead_pixels(same)).tolist()
      [[3, 2, 0]]
    """
    padded = np.pad(same, ((1, 1), (1, 1), (0, 0)), constant_values=True).astype(int)
    h, w, _ = same.shape
    around = sum(
        padded[1 + down : 1 + down + h, 1 + right : 1 + right + w]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    )
    alone: np.ndarray = same & (around == 1)
    return alone
