"""A part of a source."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.data.buckets import buckets_of
from jrecipe.types import PyTree, Source


@dataclasses.dataclass(frozen=True, eq=False)
class SomeRows:
    """Some rows of a source, as a source.

    Attributes:
      source: the whole.
      rows: int[n], which, in order.
    """

    source: Source
    rows: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def buckets(self) -> np.ndarray | None:
        """The padded length int32[n] of each row, None if the source has one shape."""
        lengths = buckets_of(self.source)
        return None if lengths is None else lengths[self.rows]

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns the examples at places `rows` int[k] of this part."""
        return self.source.take(self.rows[rows])
