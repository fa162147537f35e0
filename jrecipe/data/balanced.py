"""Batches of one bucket that hold about equally much: each has short rows and long ones."""

from __future__ import annotations

import numpy as np


def balanced(
    order: np.ndarray, buckets: np.ndarray, lengths: np.ndarray, batch_size: int, skip: int = 0
) -> np.ndarray:
    """Returns the rows `order` with those of each bucket dealt out to its batches.

    The rows of a bucket are sorted by length and cut into `batch_size` parts; each whole batch gets
    one row of each part, in the order that `order` has. The batches that a bucket shares with its
    neighbours get rows from all over it.

    Args:
      order: int[n], rows in ascending order of bucket.
      buckets: int[n], the padded length of each row.
      lengths: int[n], the length of each row.
      batch_size: rows per batch.
      skip: rows before the first whole batch.

    Example:
      >>> lengths = np.array([1, 2, 3, 4])
      >>> rows = balanced(np.arange(4), np.full(4, 4), lengths, batch_size=2)
      >>> lengths[rows].reshape(2, 2).sum(1).tolist()
      [4, 6]
    """
    out, begin = order.copy(), 0
    for end in [*(np.flatnonzero(np.diff(buckets[order])) + 1).tolist(), len(order)]:
        rows = order[begin:end]
        # Of equal length by number: by place, each part would have its longer rows in front.
        ascending = np.lexsort((rows, lengths[rows]))
        head = min((skip - begin) % batch_size, len(rows))
        whole = (len(rows) - head) // batch_size
        ends, rest = evenly(ascending, len(rows) - whole * batch_size)
        parts = np.sort(rest.reshape(batch_size, whole))  # as they stand in `order`
        first, last = evenly(ends, head)
        out[begin:end] = rows[np.concatenate([first, parts.T.ravel(), last])]
        begin = end
    return out


def evenly(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns `count` of some rows, evenly spaced, and the others."""
    places = ((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(np.int64)
    return rows[places], np.delete(rows, places)
