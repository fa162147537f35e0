"""A part of a source."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.data.buckets import buckets_of, lengths_of, unpadded_reader
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

    @property
    def lengths(self) -> np.ndarray | None:
        """The length int32[n] of each row, None if the source does not say."""
        lengths = lengths_of(self.source)
        return None if lengths is None else lengths[self.rows]

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns the examples at places `rows` int[k] of this part."""
        return self.source.take(self.rows[rows])

    def unpadded(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns the same, as the source reads whole batches."""
        return unpadded_reader(self.source)(self.rows[rows])
