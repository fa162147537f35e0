"""Rows of a file of texts: CSV, TSV, JSON lines, CoNLL columns, SQuAD (J5)."""

from __future__ import annotations

import dataclasses
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jrecipe.data.table_file import read_table
from jrecipe.types import TaskError

TABLES = (".csv", ".tsv")
LINES = (".jsonl", ".ndjson")
COLUMNS = (".conll", ".bio", ".iob", ".iob2", ".txt")
SUFFIXES = (*TABLES, *LINES, ".json", *COLUMNS)

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class TextRows(Sequence[Row]):
    """The rows of a file, each a dict of its fields.

    Attributes:
      rows: n of them.
      where: the file; empty for rows that are from none.
      lines: line where each row starts, from 1; empty where rows have no lines.
      notes: what was decided, in sentences.
    """

    rows: tuple[Row, ...]
    where: str = ""
    lines: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: Any) -> Any:
        return self.rows[row]

    def __repr__(self) -> str:
        return f"TextRows({self.where!r}, {len(self)} rows)"

    def place(self, row: int) -> str:
        """Returns where a row is, for messages."""
        if self.lines:
            return f"{self.where}, line {self.lines[row]}"
        return f"{self.where + ', ' if self.where else ''}row {row}"


def as_rows(rows: TextRows | Sequence[Row]) -> TextRows:
    """Returns rows of a file as they are, and a list of dicts as such rows.

    Raises:
      TaskError: if there are none, or one is no dict.
    """
    if not isinstance(rows, TextRows):
        if isinstance(rows, (str, Path, Mapping)):
            raise TaskError(f"rows need a list of dicts, got {rows!r:.60}; files: read_rows.")
        rows = TextRows(tuple(rows))
    if not len(rows):
        raise TaskError("rows are empty; give at least one example.")
    for i, row in enumerate(rows.rows):
        if not isinstance(row, Mapping):
            raise TaskError(f"{rows.place(i)} needs a dict of fields, got {row!r:.60}.")
    return rows


def read_rows(path: str | Path) -> TextRows:
    """Reads a file of examples by its suffix, each perhaps with `.gz` behind it.

    | suffix | rows |
    | --- | --- |
    | `.csv`, `.tsv` | a field for each column, all of them texts |
    | `.jsonl`, `.ndjson` | an object per line |
    | `.json` | a list of objects; or SQuAD's, whose rows are question, context, answers |
    | `.conll`, `.bio`, `.iob`, `.iob2`, `.txt` | "tokens" and "tags", first and last column |

    A row of SQuAD has "id", "title", "context", "question" and "answers", a list of "text" and
    "start", the character where it starts. CoNLL columns are separated by tabs, or by spaces where
    a line has no tab; a blank line ends a text, and lines of `-DOCSTART-` are left out.

    Raises:
      TaskError: naming the file, and the line that is damaged.
    """
    path = Path(path)
    stem = path.name.removesuffix(".gz").lower()
    if not stem.endswith(SUFFIXES):
        raise TaskError(f"{path} needs a name that ends in {', '.join(SUFFIXES)}, or so with .gz.")
    if stem.endswith(TABLES):
        table = read_table(path)
        cells = zip(*table.columns.values(), strict=True)
        rows = tuple(dict(zip(table.columns, row, strict=True)) for row in cells)
        return TextRows(rows, str(path), tuple(table.lines), table.notes)
    text = _text_of(path)
    if stem.endswith(".json"):
        found = TextRows(_of_json(text, path), str(path))
    else:
        numbered = list(_of_lines(text, path) if stem.endswith(LINES) else _of_columns(text, path))
        found = TextRows(
            tuple(row for _, row in numbered), str(path), tuple(line for line, _ in numbered)
        )
    if not len(found):
        raise TaskError(f"{path} has no rows; give at least one example.")
    return found


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of a file of examples.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TaskError(f"{path} is damaged or cut short ({error}); get it again.") from error
    except OSError as error:
        raise TaskError(f"{path} cannot be read ({error.strerror}); give a file.") from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TaskError(
            f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8."
        ) from error


def _of_lines(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    """Yields `(line, row)` of JSON lines; blank lines are none."""
    for line, cell in enumerate(text.split("\n"), start=1):
        if not cell.strip():
            continue
        row = _parsed(cell, f"{path}, line {line}")
        if not isinstance(row, dict):
            raise TaskError(
                f'{path}, line {line}: needs an object as {{"text": ..., "label": ...}}, got '
                f"{cell.strip()[:40]!r}."
            )
        yield line, row


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        at = f"line {error.lineno}, column {error.colno}"
        raise TaskError(f"{where}: no JSON ({error.msg} at {at}); correct it.") from error


def _of_columns(text: str, path: Path) -> Iterator[tuple[int, Row]]:
    """Yields `(line, row)` of CoNLL columns."""
    words: list[str] = []
    tags: list[str] = []
    columns = begun = 0
    for line, cell in enumerate([*text.split("\n"), ""], start=1):
        cell = cell.rstrip("\r")
        if cell.strip() and not cell.startswith("-DOCSTART-"):
            parts = cell.split("\t") if "\t" in cell else cell.split()
            columns = columns or len(parts)
            if len(parts) < 2 or len(parts) != columns:
                raise TaskError(
                    f"{path}, line {line}: needs a word and a tag in {max(columns, 2)} columns, "
                    f"got {cell.strip()[:40]!r}; correct the line."
                )
            begun = begun or line
            words.append(parts[0])
            tags.append(parts[-1].strip())
        elif words:
            yield begun, {"tokens": words, "tags": tags}
            words, tags, begun = [], [], 0


def _of_json(text: str, path: Path) -> tuple[Row, ...]:
    stored = _parsed(text, str(path))
    if isinstance(stored, list) and all(isinstance(row, dict) for row in stored):
        return tuple(stored)
    if not isinstance(stored, dict) or not isinstance(stored.get("data"), list):
        raise TaskError(
            f"{path} needs a list of objects, or SQuAD's object with 'data'; give JSON lines "
            "(.jsonl) for other data."
        )
    rows: list[Row] = []
    try:
        for article in stored["data"]:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    answers = [
                        {"text": answer["text"], "start": answer["answer_start"]}
                        for answer in asked["answers"]
                    ]
                    rows.append(
                        {
                            "id": asked.get("id", str(len(rows))),
                            "title": article.get("title", ""),
                            "context": paragraph["context"],
                            "question": asked["question"],
                            "answers": answers,
                        }
                    )
    except (KeyError, TypeError, AttributeError) as error:
        raise TaskError(
            f"{path}, question {len(rows)}: not as SQuAD has it ({error!r}); its parts are "
            "data, paragraphs, qas, answers, text and answer_start."
        ) from error
    return tuple(rows)
