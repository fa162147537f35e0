"""Reading one CSV, TSV or JSONL file, plain or gzipped, into columns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

from jrecipe.data.csv_rows import csv_rows
from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.data.encode_table import as_number
from jrecipe.data.table_lines import Lines, read_lines
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


def read_table(path: str | Path, notice: Notice = refuse) -> Table:
    """Reads a file by its suffix: `.csv`, `.tsv`, `.jsonl` or `.ndjson`, perhaps with `.gz` (A2).

    Args:
      path: the file.
      notice: told of every damaged line; the others are read.

    Raises:
      TaskError: naming the file, and the line that is damaged where `notice` refuses it. A header
        that cannot be read, and a file without a row that can, are always refused.
    """
    path = Path(path)
    if not is_table(path):
        raise TaskError(f"{path} is no table; its name needs to end in {', '.join(SUFFIXES)}.")
    stem = path.name.removesuffix(".gz")
    lines = read_lines(path, notice)
    if stem.endswith((".csv", ".tsv")):
        table = _read_csv(lines, path, "\t" if stem.endswith(".tsv") else None, notice)
    else:
        table = _read_json_lines(lines, path, notice)
    if not table.lines:
        raise TaskError(f"{path} has no rows that can be read; give at least one example.")
    return table


def _read_csv(lines: Lines, path: Path, delimiter: str | None, notice: Notice) -> Table:
    first = next((text for text in lines.texts if text.strip()), "")
    if delimiter is None:
        delimiter = max(",;\t|", key=first.count)  # the comma, where none occurs
    rows: list[tuple[int, list[str]]] = []
    header: list[str] | None = None
    for row in csv_rows(lines.texts, delimiter):
        span = range(row.first, row.last + 1) if lines.wrong else ()
        wrong = next((index for index in span if index in lines.wrong), None)
        if wrong is not None:
            damage = _line(path, wrong, *lines.wrong[wrong])
        elif row.cells is None:
            damage = _line(path, row.first, row.wrong, "correct the line")
        elif header is not None and len(row.cells) != len(header):
            damage = _line(
                path,
                row.first,
                f"{len(row.cells)} cells, but the header has {len(header)} columns",
                f"correct the line (cells are separated by {delimiter!r})",
            )
        else:
            header = header or row.cells
            rows.append((row.last + 1, row.cells))
            continue
        if header is None:
            raise TaskError(
                f"{path}, line {damage.line}: {damage.reason}, in the header, without which "
                f"nothing can be read; {damage.fix}."
            )
        notice(damage)
    if header is None:
        return Table({}, [])
    (_, header), *body = rows
    notes: tuple[str, ...] = ()
    if body and _is_data(header, body[0][1]):
        header, body = [f"c{i}" for i in range(len(header))], rows
        notes = (f"{path.name} has no header; its columns were named {header[0]} to {header[-1]}.",)
    header = [name.strip() for name in header]
    if len(set(header)) < len(header):
        twice = next(name for name in header if header.count(name) > 1)
        raise TaskError(f"{path}, line 1: column {twice!r} occurs twice; rename one.")
    columns = {name: [row[i] for _, row in body] for i, name in enumerate(header)}
    return Table(columns, [number for number, _ in body], notes)


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


def _read_json_lines(lines: Lines, path: Path, notice: Notice) -> Table:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    for index, text in enumerate(lines.texts):
        if not text.strip():
            continue
        row, *said = (None, *lines.wrong[index]) if index in lines.wrong else _parsed(text)
        if row is None:
            notice(_line(path, index, *said))
            continue
        rows.append(row)
        numbers.append(index + 1)
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, numbers)


def _parsed(text: str) -> tuple[dict[str, Any] | None, str, str]:
    """Returns `(object, "", "")` of one line, or `(None, what is wrong, what to do)`."""
    try:
        row = json.loads(text.rstrip())
    except json.JSONDecodeError as error:
        return None, f"no JSON ({error.msg} at column {error.colno})", "correct the line"
    except ValueError:  # Python refuses to convert more than 4300 digits
        return None, "a number has thousands of digits", "correct the line"
    except RecursionError:
        return None, "brackets are nested too deeply", "correct the line"
    if not isinstance(row, dict):
        got = text.strip()
        got = got if len(got) <= 40 else f"{got[:37]}..."
        return None, f"holds {got!r}, no object", 'write an object as {"text": ..., "label": ...}'
    for name, cell in row.items():
        if isinstance(cell, dict | list):
            what = "an object" if isinstance(cell, dict) else "a list"
            return None, f"{name!r} holds {what}", "give one number or text per name"
        if isinstance(cell, int | float) and math.isinf(as_number(cell) or 0.0):
            return None, f"{name!r} is infinite, or too large", "correct the line"
    return row, "", ""


def _line(path: Path, index: int, wrong: str, fix: str) -> Damage:
    return Damage(path=str(path), line=index + 1, reason=wrong, fix=fix, what="line")
