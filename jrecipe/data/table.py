"""Tables with a target column: numbers and categories, or one column of text."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.data.encode import TabularEncoder, TextEncoder
from jrecipe.data.encode_table import as_number, is_missing
from jrecipe.data.odd_targets import kind_of, odd_kinds, oddness
from jrecipe.data.splits import Splits, assemble
from jrecipe.data.table_file import Table, is_table, read_table
from jrecipe.types import TaskError

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
_TARGETS = ("label", "labels", "target", "y", "class")
_SEVERAL = 10  # rows that tell whether a column is constant
_IDS = frozenset({"", "id", "idx", "index", "guid", "uuid", "unnamed: 0"})


def is_table_folder(folder: Path) -> bool:
    """Says whether a folder holds `train.csv` or the like."""
    return "train" in table_files(folder)


def table_files(folder: Path) -> dict[str, Path]:
    """Returns split name -> file, for files named after their split."""
    tables = sorted(path for path in folder.iterdir() if is_table(path))
    return {
        split: path
        for split, words in _SPLITS.items()
        for path in reversed(tables)
        if path.name.split(".")[0].lower() in words
    }


def load_table(
    path: str | Path,
    *,
    seed: int = 0,
    target: str | None = None,
    kind: str | None = None,
    notice: Notice = refuse,
) -> Splits:
    """Loads a CSV, TSV or JSONL file, or a folder with `train.csv` and perhaps `val` and `test`.

    One column of mostly different texts of three words or more makes a text task, and the other
    columns are left out. Otherwise numbers are standardised and categories one-hot.

    Args:
      path: the file, perhaps with `.gz`, or the folder.
      seed: of the splits that are cut.
      target: name of the target column; by default label, labels, target, y, class, or the last.
      kind: "classes", "number" or "multilabel", or None to look.
      notice: told of damaged lines, of rows without a target that can be used, and of files beside
        the training split's that cannot be read; all else is loaded.

    Raises:
      TaskError: naming the file, and the line or column that cannot be understood.
    """
    path = Path(path)
    files = table_files(path) if path.is_dir() else {"train": path}
    if "train" not in files:
        raise TaskError(f"{path} holds no train.csv, train.tsv or train.jsonl; give one.")
    tables = _read(files, notice)
    train = tables["train"]
    names = list(train.columns)
    notes = list(train.notes)
    column = _target(names, target, files["train"], notes)
    for split in [split for split in tables if split != "train"]:
        missing = sorted(set(names) - set(tables[split].columns))
        if missing:
            notice(
                Damage(
                    path=str(files[split]),
                    reason=f"no column {missing[0]!r}, which {files['train'].name} has",
                    what="file",
                    fix="give all splits the same columns",
                )
            )
            del tables[split]
    rest = [name for name in names if name != column]
    if not rest:
        raise TaskError(f"{files['train']} has no column besides the target {column!r}.")
    tables = {
        split: _labelled(table, column, files[split], notes, notice)
        for split, table in tables.items()
    }
    tables = _of_one_kind(tables, column, files, kind, notes, notice)
    for name in rest:
        _tell_constant(tables["train"], name, files["train"], notice)
    targets = _parse_targets({split: table.columns[column] for split, table in tables.items()})
    texts = [name for name in rest if _is_text(tables["train"].columns[name])]
    fit: Any
    if len(texts) == 1:
        text = texts[0]
        raw: dict[str, Any] = {
            split: ["" if cell is None else str(cell) for cell in table.columns[text]]
            for split, table in tables.items()
        }
        fit = functools.partial(TextEncoder.fit, column=text)
        dropped = [name for name in rest if name != text]
        if dropped:
            notes.append(f"Column {text!r} is the text; left out: {_listed(dropped)}.")
    else:
        dropped = texts + [n for n in rest if _is_id(n, tables["train"].columns[n])]
        kept = [name for name in rest if name not in dropped]
        if not kept:
            raise TaskError(
                f"{files['train']} has no usable column besides the target {column!r}: "
                f"{_listed(rest)} hold texts or row numbers; keep exactly one column of text."
            )
        raw = {
            split: {name: table.columns[name] for name in kept} for split, table in tables.items()
        }
        fit = functools.partial(TabularEncoder.fit, ignored=(column, *dropped))
        if dropped:
            notes.append(f"Columns of texts or row numbers were left out: {_listed(dropped)}.")
    return assemble(
        path.resolve().name.split(".")[0],
        {split: (raw[split], targets[split]) for split in raw},
        where=str(path),
        seed=seed,
        fit=fit,
        kind=kind,
        notes=notes,
        notice=notice,
    )


def _tell_constant(table: Table, name: str, file: Path, notice: Notice) -> None:
    """Tells of a column that has one value in all rows, if there are enough to say so."""
    cells = table.columns[name]
    if len(cells) >= _SEVERAL and len(set(cells)) == 1:
        value = "nothing" if cells[0] is None else repr(cells[0])
        notice(
            Damage(
                path=str(file),
                reason=f"column {name!r} holds {value} in all {len(cells)} rows",
                what="column",
                fix="find out what became of it, or drop it",
                stops=False,
            )
        )


def _read(files: Mapping[str, Path], notice: Notice) -> dict[str, Table]:
    """Reads the files; one that is none, beside the training split's, is told of and left out."""
    tables = {}
    for split, file in files.items():
        try:
            tables[split] = read_table(file, notice)
        except TaskError as error:
            if split == "train" or notice is refuse:
                raise
            said = str(error).removeprefix(str(file)).strip(" :.")
            notice(Damage(path=str(file), reason=said, what="file", fix="get it again"))
    return tables


def _target(names: Sequence[str], asked: str | None, path: Path, notes: list[str]) -> str:
    if asked is not None:
        if asked not in names:
            raise TaskError(f"{path} has no column {asked!r} (target); it has {_listed(names)}.")
        return asked
    lower = {name.lower(): name for name in reversed(names)}
    for word in _TARGETS:
        if word in lower:
            return lower[word]
    notes.append(f"The last column, {names[-1]!r}, was taken as the target.")
    return names[-1]


def _labelled(table: Table, column: str, path: Path, notes: list[str], notice: Notice) -> Table:
    """Drops the rows without a target, and says so."""
    missing = [row for row, cell in enumerate(table.columns[column]) if is_missing(cell)]
    if len(missing) == len(table.lines):
        raise TaskError(f"{path}: column {column!r} (target) is empty in all {len(missing)} rows.")
    if missing:
        notes.append(
            f"{len(missing)} of {len(table.lines)} rows of {path.name} have no target {column!r} "
            f"and were left out, the first in line {table.lines[missing[0]]}."
        )
    return _without(table, missing, lambda row: f"no target {column!r}", path, False, notice)


def _of_one_kind(
    tables: Mapping[str, Table],
    column: str,
    files: Mapping[str, Path],
    kind: str | None,
    notes: list[str],
    notice: Notice,
) -> dict[str, Table]:
    """Drops the rows whose target is of another kind; training keeps them as classes, if it can."""
    cells = [(split, row) for split, t in tables.items() for row in range(len(t.lines))]
    known = [tables[split].columns[column][row] for split, row in cells]
    kinds = odd_kinds(known, kind)
    odd = [
        (place, cell) for place, cell in zip(cells, known, strict=True) if kind_of(cell) in kinds
    ]
    if not odd:
        return dict(tables)
    stops = any(kinds[kind_of(cell)] for _, cell in odd)
    if notice is refuse and not stops:
        (split, row), cell = odd[0]
        notes.append(
            f"All targets were read as classes, though {len(odd)} of {len(known)} are of another "
            f"kind than the rest, first {cell!r} in line {tables[split].lines[row]} of "
            f"{files[split].name}."
        )
        return dict(tables)
    return {
        split: _without(
            table,
            [row for (where, row), _ in odd if where == split],
            lambda row, table=table: oddness(table.columns[column][row]),  # type: ignore[misc]
            files[split],
            stops,
            notice,
        )
        for split, table in tables.items()
    }


def _without(
    table: Table,
    rows: Sequence[int],
    why: Callable[[int], str],
    path: Path,
    stops: bool,
    notice: Notice,
) -> Table:
    """Leaves out rows whose target cannot be used, and tells of each."""
    for row in rows:
        notice(
            Damage(
                path=str(path),
                line=table.lines[row],
                reason=why(row),
                what="target",
                fix="give the target, or leave out the row",
                stops=stops,
            )
        )
    left_out = set(rows)
    keep = [row for row in range(len(table.lines)) if row not in left_out]
    columns = {name: [cells[row] for row in keep] for name, cells in table.columns.items()}
    return Table(columns, [table.lines[row] for row in keep], table.notes)


def _parse_targets(cells: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
    """Returns the targets as int64 if all are whole, else float64 if all are numbers, else text."""
    numbers = {split: [as_number(cell) for cell in column] for split, column in cells.items()}
    if any(number is None for column in numbers.values() for number in column):
        return {s: np.array([str(cell).strip() for cell in column]) for s, column in cells.items()}
    # "1" and 1 are whole, "1.0" is a measurement, and so is what int64 cannot hold.
    whole = all(_is_whole(cell) for column in cells.values() for cell in column)
    whole = whole and all(abs(n) < 2**62 for column in numbers.values() for n in column if n)
    dtype = np.int64 if whole else np.float64
    return {split: np.array(column, np.float64).astype(dtype) for split, column in numbers.items()}


def _is_whole(cell: Any) -> bool:
    return isinstance(cell, int) or (
        isinstance(cell, str) and cell.strip().lstrip("+-").isdecimal()
    )


def _is_text(cells: Sequence[Any]) -> bool:
    """Says whether a column holds prose: texts, mostly different, of three words on average."""
    known = [cell for cell in cells if not is_missing(cell)]
    if not known or not all(isinstance(cell, str) for cell in known):
        return False
    words = sum(len(cell.split()) for cell in known) / len(known)
    return words >= 3 and len(set(known)) > len(known) / 2


def _is_id(name: str, cells: Sequence[Any]) -> bool:
    return name.lower() in _IDS and len(set(cells)) == len(cells)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"
