"""Rows of a CSV file, read on behind a damaged one (A2)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LONGEST = 2**26  # characters of a cell
_OPEN = "a quote is opened and not closed"


class Row(NamedTuple):
    """One row that is not blank.

    Attributes:
      first: index of its first line.
      last: index of its last line; several lines where a quoted cell holds line ends.
      cells: the texts, or None where the row cannot be read.
      wrong: why it cannot, or "".
    """

    first: int
    last: int
    cells: list[str] | None
    wrong: str = ""


def csv_rows(lines: Sequence[str], delimiter: str) -> Iterator[Row]:
    """Yields the rows of a file; behind an error reading goes on with the next line.

    A quote that is never closed swallows the lines below. It is told of the line where it opens,
    and the lines below are read again as rows of their own.

    Args:
      lines: with their line ends.
      delimiter: one character.
    """
    before = csv.field_size_limit(LONGEST)  # of the process; Python's own is 131,072
    try:
        yield from _rows(lines, delimiter)
    finally:
        csv.field_size_limit(before)


def _rows(lines: Sequence[str], delimiter: str) -> Iterator[Row]:
    at = width = 0
    while at < len(lines):
        ahead = (lines[i] for i in range(at, len(lines)))
        reader = csv.reader(ahead, delimiter=delimiter, strict=True)
        start = first = at
        try:
            for cells in reader:
                last = start + reader.line_num - 1
                width = width or len(cells)
                below = lines[first + 1 : last + 1]
                if below and len(cells) != width and _are_rows(below, delimiter, width):
                    raise csv.Error(_OPEN)
                if cells:
                    yield Row(first, last, cells)
                first = last + 1
            return
        except csv.Error as error:
            several = start + reader.line_num - 1 > first
            yield Row(first, first, None, _OPEN if several else _plainly(str(error)))
            at = first + 1


def _are_rows(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Says whether most of the lines are rows by themselves, so that no cell goes over them."""
    alone = 0
    for line in lines:
        try:
            alone += len(next(csv.reader([line], delimiter=delimiter, strict=True), [])) == width
        except csv.Error:
            continue
    return alone > len(lines) / 2


def _plainly(said: str) -> str:
    """Returns what the reader of CSV said in words for whoever wrote the file."""
    if said.startswith("unexpected end"):
        return _OPEN
    if said.startswith("field larger"):
        return f"a cell has more than {LONGEST:,} characters"
    return f"a quote stands inside of a quoted cell ({said})" if "expected after" in said else said
