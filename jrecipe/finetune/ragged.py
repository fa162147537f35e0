"""Rows of different lengths in one flat array, padded when they are read."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
    """n rows of different lengths.

    Attributes:
      values: all rows one after the other, [total, ...].
      starts: int64[n + 1]; row i is `values[starts[i]:starts[i + 1]]`.

    Example:
      >>> rows = Ragged.of([[1, 2, 3], [], [4]], np.int32)
      >>> rows.padded(np.array([2, 0]), width=3, fill=-1).tolist()
      [[4, -1, -1], [1, 2, 3]]
    """

    values: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[Sequence[Any]], dtype: Any, shape: tuple[int, ...] = ()) -> Ragged:
        """Returns rows of items of one shape as one."""
        rows = list(rows)
        starts = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
        flat = [item for row in rows for item in row]
        return cls(np.asarray(flat, dtype).reshape(-1, *shape), starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        """Returns one row as it is."""
        return self.values[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Of the rows, int64[n]."""
        return np.diff(self.starts)

    def mask(self, rows: np.ndarray, width: int) -> np.ndarray:
        """Returns bool[k, width], True where the rows `rows` int[k] have values."""
        counts: np.ndarray = self.lengths[rows]
        return np.arange(width)[None] < counts[:, None]

    def padded(self, rows: np.ndarray, width: int, fill: int) -> np.ndarray:
        """Returns the rows `rows` int[k] with `fill` behind their ends, [k, width, ...]."""
        mask = self.mask(rows, width)
        places = self.starts[rows][:, None] + np.arange(width)[None]
        out = np.full((*mask.shape, *self.values.shape[1:]), fill, self.values.dtype)
        out[mask] = self.values[places[mask]]
        return out
