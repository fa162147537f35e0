"""The order of examples of several lengths: batches of one length, so that little is padding.

A source may say in `buckets` int32[n] to which length each row is padded; `take(rows)` then pads to
the longest of its rows. A batch of rows of one bucket has one shape, so a run compiles at most one
program for each bucket, and short texts do not pay for long ones.

If it also says in `lengths` int32[n] how long each row is, the training batches of a bucket hold
about equally much, and `unpadded(rows)` may read one with what lets a network leave padding out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from jrecipe.data.balanced import balanced, evenly
from jrecipe.data.order import batch_rows, epoch_order, padded_rows, stream_rows
from jrecipe.types import PyTree, Source, TaskError

_BATCHES = 0x4255434B4554  # keeps the order of the batches apart from that of the rows


def buckets_of(source: Source) -> np.ndarray | None:
    """Returns the padded length int32[n] of each row of a source, None if all have one shape.

    Raises:
      TaskError: if `source.buckets` is no positive integer for each row.
    """
    given: Any = getattr(source, "buckets", None)
    return None if given is None else _checked(given, len(source))


def lengths_of(source: Source) -> np.ndarray | None:
    """Returns the length int32[n] of each row of a source with buckets, None if it has none.

    Raises:
      TaskError: if `source.lengths` is no integer from 0 to its bucket for each row.
    """
    given: Any = getattr(source, "lengths", None)
    buckets = buckets_of(source)
    if given is None or buckets is None:
        return None
    lengths = np.asarray(given)
    whole = lengths.shape == buckets.shape and lengths.dtype.kind in "iu"
    if not whole or lengths.min() < 0 or (lengths > buckets).any():
        raise TaskError(
            f"source.lengths needs the length of each of {len(source)} rows, at most its bucket, "
            f"int32[{len(source)}], got {lengths.dtype}{list(lengths.shape)}."
        )
    return lengths.astype(np.int32)


def unpadded_reader(source: Source) -> Callable[[np.ndarray], tuple[PyTree, PyTree]]:
    """Returns `source.unpadded`, or `source.take` where it has none: how training reads batches."""
    reader: Any = getattr(source, "unpadded", None)
    return source.take if reader is None else reader


def training_rows(
    buckets: np.ndarray,
    batch_size: int,
    seed: int,
    step: int,
    count: int = 1,
    lengths: np.ndarray | None = None,
) -> np.ndarray:
    """Returns the rows of the batches `step` to `step + count - 1` of the endless training stream.

    As `batch_rows` it is a function of (seed, step) that needs no replay, every batch is full and
    every row occurs once per epoch. Each epoch shuffles the rows, sorts them stably by bucket, cuts
    them into batches and shuffles the batches. So a batch holds one bucket, or neighbouring ones
    where a bucket ends, and its length is always that of a bucket. Where the batch size does not
    divide an epoch, the epochs run into each other: the batch between two holds the last rows of
    one and the first of the next, which are drawn from the shortest rows of each.

    Args:
      buckets: int[n], >= 1, the padded length of each row; few different ones.
      batch_size: rows per batch, >= 1.
      seed: any integer.
      step: the first batch, >= 0.
      count: how many batches, >= 0.
      lengths: int[n], see `balanced`; None leaves to chance how much a batch of a bucket holds.

    Returns:
      int32[count, batch_size], values in [0, n).

    Raises:
      TaskError: if an argument is out of range.

    Example:
      >>> lengths = np.array([16, 8, 16, 8])
      >>> rows = training_rows(lengths, batch_size=2, seed=0, step=0, count=2)
      >>> sorted(lengths[rows].tolist())
      [[8, 8], [16, 16]]
    """
    buckets = _checked(buckets, len(np.atleast_1d(buckets)))
    n = len(buckets)

    def order(epoch: int) -> np.ndarray:
        return _grouped(buckets, lengths, int(batch_size), int(seed), epoch)

    return stream_rows(n, batch_size, step, count, order)


def _grouped(
    buckets: np.ndarray, lengths: np.ndarray | None, batch_size: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns an epoch's permutation int32[n], whose whole batches stand as the stream cuts it."""
    n = len(buckets)
    shuffled = epoch_order(n, seed, epoch)
    ascending = shuffled[np.argsort(buckets[shuffled], kind="stable")]
    before = min(-epoch * n % batch_size, n)  # they fill up the last batch of the epoch before
    whole = (n - before) // batch_size
    after = n - before - whole * batch_size  # they begin the first batch of the next
    if lengths is None:
        first, last, rest = np.split(ascending, [before, before + after])
    else:
        ascending = balanced(ascending, buckets, lengths, batch_size, before + after)
        ends, rest = np.split(ascending, [before + after])
        first, last = evenly(ends, before)
    if whole:
        batches = epoch_order(whole, seed ^ _BATCHES, epoch)
        rest = rest.reshape(whole, batch_size)[batches].ravel()
    return np.concatenate([first, rest, last])


def evaluation_rows(buckets: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns batches that cover all rows exactly once, from short to long (B3).

    Rows that fill up the last batch repeat the last row and have weight 0, as in `padded_rows`.

    Args:
      buckets: int[n], >= 1, the padded length of each row.
      batch_size: rows per batch, >= 1.

    Returns:
      `(rows int32[k, batch_size], weights float32[k, batch_size])`, `k = ceil(n / batch_size)`.

    Raises:
      TaskError: if an argument is out of range.

    Example:
      >>> rows, weights = evaluation_rows(np.array([16, 8, 8]), batch_size=2)
      >>> rows.tolist(), weights.tolist()
      ([[1, 2], [0, 0]], [[1.0, 1.0], [1.0, 0.0]])
    """
    buckets = _checked(buckets, len(np.atleast_1d(buckets)))
    places, weights = padded_rows(len(buckets), batch_size)
    return np.argsort(buckets, kind="stable").astype(np.int32)[places], weights


def source_training_rows(
    source: Source, batch_size: int, seed: int, step: int, count: int = 1
) -> np.ndarray:
    """Returns the training rows int32[count, batch_size] of a source, by length where it has some.

    See `training_rows` and, for a source without `buckets`, `batch_rows`.
    """
    buckets = buckets_of(source)
    if buckets is None:
        return batch_rows(len(source), batch_size, seed, step, count)
    return training_rows(buckets, batch_size, seed, step, count, lengths_of(source))


def source_evaluation_rows(source: Source, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and weights that cover a source exactly once, by length where it has some.

    See `evaluation_rows` and, for a source without `buckets`, `padded_rows`.
    """
    buckets = buckets_of(source)
    if buckets is None:
        return padded_rows(len(source), batch_size)
    return evaluation_rows(buckets, batch_size)


def _checked(buckets: Any, n: int) -> np.ndarray:
    lengths = np.asarray(buckets)
    if lengths.shape != (n,) or n == 0 or lengths.dtype.kind not in "iu" or lengths.min() < 1:
        raise TaskError(
            f"buckets need a length >= 1 for each of {n} rows, int32[{n}], got "
            f"{lengths.dtype}{list(lengths.shape)}"
            f"{f' from {lengths.min()} on' if lengths.size else ''}; give the number of tokens to "
            "which each row is padded."
        )
    return lengths.astype(np.int32)
