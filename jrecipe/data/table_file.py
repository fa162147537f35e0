"""Reading one CSV, TSV or JSONL file, plain or gzipped, into columns."""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from jrecipe.data.encode_table import as_number
from jrecipe.types import TaskError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


class Table(NamedTuple):
    """The cells of a file.

    Attributes:
      columns: name -> n cells: texts (CSV), or JSON values; None where a JSON line lacks the name.
      lines: line of the file where each row ends, from 1.
      notes: what was decided, in sentences.
    """

    columns: dict[str, list[Any]]
    lines: list[int]
    notes: tuple[str, ...] = ()


def is_table(path: Path) -> bool:
    """Says whether a name ends like a table's."""
    return path.name.removesuffix(".gz").endswith(SUFFIXES)


def read_table(path: str | Path) -> Table:
    """Reads a file by its suffix: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, perhaps with `.gz`.

    Raises:
      TaskError: naming the file, and the line that is damaged.
    """
    path = Path(path)
    if not is_table(path):
        raise TaskError(f"{path} is no table; its name needs to end in {', '.join(SUFFIXES)}.")
    stem = path.name.removesuffix(".gz")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            if stem.endswith((".csv", ".tsv")):
                table = _read_csv(file, path, "\t" if stem.endswith(".tsv") else None)
            else:
                table = _read_json_lines(file, path)
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of a table.") from error
    except UnicodeDecodeError as error:
        raise TaskError(
            f"{path}, line {_line_of(path, opened)}: not UTF-8 ({error.reason}); "
            "save the file as UTF-8."
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TaskError(f"{path} is damaged or cut short ({error}); get it again.") from error
    if not table.lines:
        raise TaskError(f"{path} has no rows; give at least one example.")
    return table


def _line_of(path: Path, opened: Any) -> int:
    """Returns the first line that is not UTF-8."""
    with opened(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


def _read_csv(file: TextIO, path: Path, delimiter: str | None) -> Table:
    if delimiter is None:
        first = file.readline()
        file.seek(0)
        delimiter = max(",;\t|", key=first.count)  # the comma, where none occurs
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    rows = list(_numbered(reader, path))
    if not rows:
        return Table({}, [])
    notes: tuple[str, ...] = ()
    (_, header), *body = rows
    if body and _is_data(header, body[0][1]):
        header, body = [f"c{i}" for i in range(len(header))], rows
        notes = (f"{path.name} has no header; its columns were named {header[0]} to {header[-1]}.",)
    header = [name.strip() for name in header]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TaskError(f"{path}, line 1: column {twice!r} occurs twice; rename one.")
    for line, row in body:
        if len(row) != len(header):
            raise TaskError(
                f"{path}, line {line}: {len(row)} cells, but the header has {len(header)} columns; "
                f"correct the line (cells are separated by {delimiter!r})."
            )
    columns = {name: [row[i] for _, row in body] for i, name in enumerate(header)}
    return Table(columns, [line for line, _ in body], notes)


def _numbered(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields `(line, row)` of all rows that are not blank."""
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise TaskError(f"{path}, line {reader.line_num}: {error}; correct the line.") from error


def _is_data(first: list[str], second: list[str]) -> bool:
    """Says whether the first row of a CSV file looks like the rows below, not like a header."""
    numbers = [as_number(cell) for cell in first]
    if all(number is None for number in numbers):
        return False
    known = [number for number in numbers if number is not None]
    if known == list(range(len(known))) and len(known) >= len(first) - 1 and len(first) > 2:
        return False  # 0, 1, 2, ... are names
    kinds = [number is None for number in numbers]
    return kinds == [as_number(cell) is None for cell in second]


def _read_json_lines(file: TextIO, path: Path) -> Table:
    rows, lines = [], []
    for line, text in enumerate(file, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise TaskError(
                f"{path}, line {line}: no JSON ({error.msg} at column {error.colno}); "
                "correct the line."
            ) from error
        if not isinstance(row, dict):
            raise TaskError(
                f'{path}, line {line}: needs an object as {{"text": ..., "label": ...}}, got '
                f"{text.strip()[:40]!r}."
            )
        for name, cell in row.items():
            if isinstance(cell, dict | list):
                raise TaskError(
                    f"{path}, line {line}: {name!r} holds a {type(cell).__name__}; "
                    "give one number or text per name."
                )
        rows.append(row)
        lines.append(line)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, lines)
