"""Many texts of any length as rows of one length, without padding in between (D5)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from jrecipe.types import TaskError


def pack(
    texts: Iterable[Sequence[int]],
    length: int,
    *,
    separator: int,
    first: int | None = None,
    pad: int = 0,
) -> np.ndarray:
    """Lays texts end to end, each with a separator behind it, and cuts the whole into rows.

    Every token stands in one row, once and in order; only the end of the last row is padding. Texts
    without a token leave no separator.

    Args:
      texts: ids of each.
      length: tokens of a row.
      separator: id behind each text.
      first: id at the start of every row, before its `length - 1` others; None for none.
      pad: id behind the last token of the last row.

    Returns:
      int32[n, length].

    Raises:
      TaskError: if `length` leaves no room, or there is no token.

    Example:
      >>> pack([[5, 6, 7], [8]], 4, separator=3, first=2).tolist()
      [[2, 5, 6, 7], [2, 3, 8, 3]]
    """
    room = length - (first is not None)
    if room < 2:
        raise TaskError(f"pack needs rows of 2 tokens or more, got {length=}; 64 is usual.")
    tokens = itertools.chain.from_iterable((*text, separator) for text in texts if len(text))
    stream = np.fromiter(tokens, np.int32)
    if not len(stream):
        raise TaskError("pack needs a text with a token, got none; give texts that are not empty.")
    rows = np.full((-(-len(stream) // room), room), pad, np.int32)
    rows.ravel()[: len(stream)] = stream
    if first is None:
        return rows
    return np.concatenate([np.full((len(rows), 1), first, np.int32), rows], axis=1)
