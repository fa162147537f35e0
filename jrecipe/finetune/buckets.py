"""Few lengths for texts of many, so that a step is compiled a few times and little is padding."""

from __future__ import annotations

import math

import numpy as np

from jrecipe.types import Array, TaskError

_SIZES = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_SLACK = 0.5  # a text
_FEW = (16, 32, 64, 96, 128, 192, 256, 384, 512)


def bucket_sizes(longest: int, *, few: bool = False) -> tuple[int, ...]:
    """Returns the lengths that texts of up to `longest` tokens are padded to, ascending.

    Multiples of 8 up to 32, of 16 up to 64, and from there steps of about a half; `longest` is the
    last, since a network may have no positions beyond it.

    Args:
      longest: most tokens of a text.
      few: powers of two up to 64 instead, for networks that compute little on padding.

    Raises:
      TaskError: if `longest` is not a positive number.

    Example:
      >>> bucket_sizes(100)
      (8, 16, 24, 32, 48, 64, 96, 100)
    """
    if longest < 1:
        raise TaskError(f"bucket_sizes needs longest >= 1 tokens, got {longest!r}.")
    sizes = list(_FEW if few else _SIZES)
    while sizes[-1] < longest:
        sizes.append(2 * sizes[-2])  # 768, 1024, 1536, ...
    return (*(size for size in sizes if size < longest), int(longest))


def bucket_lengths(lengths: Array, longest: int, *, few: bool = False) -> np.ndarray:
    """Returns the bucket of each length, int32[n].

    Args:
      lengths: numbers of tokens int[n], in 0..longest.
      longest: the largest bucket.
      few: as in `bucket_sizes`.

    Raises:
      TaskError: if a length is above `longest`.

    Example:
      >>> bucket_lengths([3, 8, 40], longest=64).tolist()
      [8, 8, 48]
    """
    lengths = np.asarray(lengths, np.int64)
    if lengths.size and int(lengths.max()) > longest:
        raise TaskError(
            f"lengths reach {int(lengths.max())} tokens, above longest={longest}; cut them first."
        )
    sizes = np.asarray(bucket_sizes(longest, few=few), np.int32)
    return sizes[np.searchsorted(sizes, lengths)]


def rooms(lengths: Array, buckets: Array) -> dict[int, int]:
    """Returns how many tokens there have to be room for in a batch, for each text, by bucket.

    That is the mean and a little more: batches are balanced, to a part of a token in a text.

    Args:
      lengths: numbers of tokens int[n].
      buckets: of the texts, int[n].

    Example:
      >>> rooms([3, 4, 16, 9], [8, 8, 16, 16])
      {8: 4, 16: 13}
    """
    lengths, buckets = np.asarray(lengths), np.asarray(buckets)
    return {
        int(bucket): math.ceil(lengths[buckets == bucket].mean() + _SLACK)
        for bucket in np.unique(buckets)
    }
