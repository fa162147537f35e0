"""Batches of a source that does not fit in memory, read ahead by threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from jrecipe.data.buckets import unpadded_reader
from jrecipe.types import PyTree, Source

_END = object()


def batches(
    source: Source,
    rows: Iterable[np.ndarray],
    *,
    threads: int = 4,
    ahead: int = 8,
    unpadded: bool = False,
) -> Iterator[tuple[PyTree, PyTree]]:
    """Reads the batches that `rows` asks for, in that order, while the caller computes.

    At most `ahead` batches are held besides the one in use, however long `rows` is; it may be
    endless. Closing the iterator, or dropping it, ends the threads. `source.take` is called by
    several threads at a time.

    Args:
      source: where to read.
      rows: int[b] arrays, as the rows of `batch_rows`; iterated by one thread at a time.
      threads: that read, >= 1.
      ahead: batches to hold, >= `threads`.
      unpadded: read by `source.unpadded` where there is one: no batch may be cut after.

    Yields:
      `(inputs, targets)`, leading axes `b`.

    Raises:
      ValueError: if `threads` or `ahead` is out of range.
      Exception: what `source.take` or `rows` raises, when its turn comes; a note on it says which
        rows were read.

    Example:
      >>> from jrecipe.data import as_source
      >>> source = as_source(([10, 11, 12], [0, 1, 0]))
      >>> [inputs.tolist() for inputs, _ in batches(source, [[2, 0], [1, 1]])]
      [[12, 10], [11, 11]]
    """
    if threads < 1 or ahead < threads:
        raise ValueError(f"batches needs 1 <= threads <= ahead, got {threads=}, {ahead=}.")
    return _batches(_Reads(source, iter(rows), unpadded), threads, ahead)


def _batches(wanted: _Reads, threads: int, ahead: int) -> Iterator[tuple[PyTree, PyTree]]:
    import grain

    reads = grain.MapDataset.source(wanted)
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=ahead)
    reader = iter(reads.to_iter_dataset(options))
    try:
        for batch in reader:
            if batch is _END:
                return
            yield batch
    finally:
        reader.close()


class _Reads:
    """Looks to grain like a sequence of batches without end; each index is asked for once.

    Threads ask for indices in any order. Whoever comes first draws from the iterator up to its
    index and leaves the rows of the others; so the order is that of `rows`, and few rows wait.
    """

    def __init__(self, source: Source, rows: Iterator[np.ndarray], unpadded: bool = False):
        self._source = source
        self._read = unpadded_reader(source) if unpadded else source.take
        self._rows = rows
        self._lock = threading.Lock()
        self._drawn = 0
        self._waiting: dict[int, Any] = {}

    def __len__(self) -> int:
        return 2**62

    def __repr__(self) -> str:
        return f"batches of {self._source!r}"

    def __getitem__(self, index: int) -> Any:
        with self._lock:
            while self._drawn <= index:
                try:
                    self._waiting[self._drawn] = next(self._rows, _END)
                except Exception as error:  # raised below, when its turn comes
                    self._waiting[self._drawn] = error
                self._drawn += 1
            rows = self._waiting.pop(index)
        if rows is _END:
            return _END
        if isinstance(rows, Exception):
            raise rows
        with _NamingRows(np.asarray(rows)):
            return self._read(np.asarray(rows))


class _NamingRows:
    """Adds the rows that were being read to an exception, and lets it pass."""

    def __init__(self, rows: np.ndarray):
        self._rows = rows

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            shown = ", ".join(str(row) for row in self._rows[:8])
            error.add_note(f"while reading rows {shown}{', ...' if len(self._rows) > 8 else ''}")
