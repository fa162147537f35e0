"""The order of the examples: a function of (seed, epoch) that can start at any step.

Training is an endless stream of one permutation per epoch, laid end to end and cut into batches. So
every batch is full, every example occurs once per epoch, and a run that resumes at step 10,000
computes that step's rows without replaying the 9,999 before. Nothing here holds state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from jrecipe.types import TaskError

_WORD = 2**64


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """Returns the order of `n` examples in one epoch, a permutation int32[n] (read-only).

    It sorts raw Philox words under the key (seed, epoch), which NumPy promises never to change.

    Args:
      n: number of examples, 1 to 2^31 - 1.
      seed: any integer; taken modulo 2^64.
      epoch: >= 0.

    Raises:
      TaskError: if `n` or `epoch` is out of range.

    References:
      Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011 (Philox).
    """
    n, seed, epoch = int(n), int(seed), int(epoch)
    if not 1 <= n < 2**31:
        raise TaskError(f"epoch_order needs 1 <= n < 2^31 examples, got {n=}.")
    if epoch < 0:
        raise TaskError(f"epoch_order needs an epoch >= 0, got {epoch=}.")
    return _epoch_order(n, seed % _WORD, epoch)


@functools.lru_cache(maxsize=4)  # neighbouring batches share an epoch
def _epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    order = np.argsort(words, kind="stable").astype(np.int32)
    order.setflags(write=False)
    return order


def batch_rows(
    n: int, batch_size: int, seed: int, step: int, count: int = 1, shuffle: bool = True
) -> np.ndarray:
    """Returns the rows of the batches `step` to `step + count - 1` of the endless training stream.

    Args:
      n: number of examples.
      batch_size: rows per batch; more than `n` is allowed and repeats examples.
      seed: any integer.
      step: the first batch, >= 0.
      count: how many batches, >= 0.
      shuffle: False keeps the order of the data in every epoch.

    Returns:
      int32[count, batch_size], values in [0, n).

    Raises:
      TaskError: if an argument is out of range.

    Example:
      >>> batch_rows(n=3, batch_size=2, seed=0, step=1, count=2, shuffle=False).tolist()
      [[2, 0], [1, 2]]
    """

    def order(epoch: int) -> np.ndarray:
        return epoch_order(n, seed, epoch) if shuffle else np.arange(n, dtype=np.int32)

    return stream_rows(n, batch_size, step, count, order)


def stream_rows(
    n: int, batch_size: int, step: int, count: int, order: Callable[[int], np.ndarray]
) -> np.ndarray:
    """Cuts the batches `step` to `step + count - 1` from epochs that are laid end to end.

    Args:
      n: number of examples.
      batch_size: rows per batch, >= 1.
      step: the first batch, >= 0.
      count: how many batches, >= 0.
      order: `(epoch) -> int[n]`, a permutation.

    Returns:
      int32[count, batch_size], values in [0, n).

    Raises:
      TaskError: if an argument is out of range.
    """
    n, batch_size, step, count = int(n), int(batch_size), int(step), int(count)
    if not 1 <= n < 2**31:
        raise TaskError(f"batch_rows needs 1 <= n < 2^31 examples, got {n=}.")
    if batch_size < 1:
        raise TaskError(f"batch_rows needs batch_size >= 1, got {batch_size=}.")
    if step < 0 or count < 0:
        raise TaskError(f"batch_rows needs step >= 0 and count >= 0, got {step=}, {count=}.")
    rows = np.empty(count * batch_size, np.int32)
    filled = 0
    while filled < len(rows):
        epoch, offset = divmod(step * batch_size + filled, n)  # Python integers do not overflow
        take = min(n - offset, len(rows) - filled)
        rows[filled : filled + take] = order(epoch)[offset : offset + take]
        filled += take
    return rows.reshape(count, batch_size)


def padded_rows(n: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns batches of one shape that cover `n` examples exactly once, for evaluation (B3).

    Padding rows repeat the last example and have weight 0, so that
    `sum(value * weight) / sum(weight)` over all batches is the exact mean.

    Args:
      n: number of examples, at least 1.
      batch_size: rows per batch, at least 1.

    Returns:
      `(rows int32[k, batch_size], weights float32[k, batch_size])` with `k = ceil(n / batch_size)`.

    Raises:
      TaskError: if `n` or `batch_size` is not positive.

    Example:
      >>> rows, weights = padded_rows(n=3, batch_size=2)
      >>> rows.tolist(), weights.tolist()
      ([[0, 1], [2, 2]], [[1.0, 1.0], [1.0, 0.0]])
    """
    n, batch_size = int(n), int(batch_size)
    if n < 1 or batch_size < 1:
        raise TaskError(f"padded_rows needs n >= 1 and batch_size >= 1, got {n=}, {batch_size=}.")
    positions = np.arange(-(-n // batch_size) * batch_size)
    rows = np.minimum(positions, n - 1).astype(np.int32)
    weights = (positions < n).astype(np.float32)
    return rows.reshape(-1, batch_size), weights.reshape(-1, batch_size)
