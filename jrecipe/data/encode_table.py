"""Tables: numeric columns standardised, categories one-hot, missing values marked."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_MAX_CATEGORIES = 32
_SHOWN = 8  # columns in a decoded text


@dataclasses.dataclass(frozen=True)
class Column:
    """How one column is encoded.

    Attributes:
      name: as in the table.
      categories: the frequent values, one-hot in this order with one slot for all others; () for a
        numeric column.
      mean: of a numeric column over the known values of the training split.
      std: likewise; 0 marks a constant column.
      marks_missing: whether a second slot of a numeric column says that its value is missing.
    """

    name: str
    categories: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 0.0
    marks_missing: bool = False

    @property
    def width(self) -> int:
        """Encoded columns."""
        return len(self.categories) + 1 if self.categories else 1 + self.marks_missing


@dataclasses.dataclass(frozen=True)
class TabularEncoder:
    """Encodes the columns of a table, by name, side by side.

    Attributes:
      columns: in the order of the encoded values.
      ignored: names of columns that a table may have besides, as the target; they are not read.
    """

    columns: tuple[Column, ...]
    ignored: tuple[str, ...] = ()

    @classmethod
    def fit(cls, table: Mapping[str, Sequence[Any]], ignored: Sequence[str] = ()) -> TabularEncoder:
        """Finds the kind of each column and its statistics in the training split.

        A column is numeric if every known cell is a number. Of the others, the 32 most frequent
        categories are kept.

        Args:
          table: column name -> n cells: texts, numbers, bools or None. Empty cells, NA, NaN, null,
            None and ? count as missing.
          ignored: names of columns that are not in `table`, but may be in a new one.

        Raises:
          TaskError: if there is no column.
        """
        if not table:
            raise TaskError("the table has no column besides the target; give at least one.")
        columns = tuple(_fit_column(name, cells) for name, cells in table.items())
        return cls(columns, tuple(ignored))

    @property
    def size(self) -> int:
        """Numbers per row."""
        return sum(column.width for column in self.columns)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What each encoded value is: "age", "age is missing", "colour=red", "colour is other"."""
        names: list[str] = []
        for column in self.columns:
            if column.categories:
                names += [f"{column.name}={value}" for value in column.categories]
                names.append(f"{column.name} is other")
            else:
                names.append(column.name)
                names += [f"{column.name} is missing"] * column.marks_missing
        return tuple(names)

    def encode(self, raw: Mapping[str, Sequence[Any]]) -> np.ndarray:
        """Returns float32[n, size] for a table with the training split's columns, in any order.

        Raises:
          TaskError: naming a column that is missing, unknown, or not numeric as in training.
        """
        names = [column.name for column in self.columns]
        for name in names:
            if name not in raw:
                raise TaskError(
                    f"the table has no column {name!r}, which the training table had; it has "
                    f"{', '.join(map(repr, raw))}."
                )
        for name in raw:
            if name not in names and name not in self.ignored:
                raise TaskError(
                    f"the table has a column {name!r} that the training table did not have; remove "
                    f"it (known: {', '.join(map(repr, names))})."
                )
        parts = [_encode_column(column, raw[column.name]) for column in self.columns]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def decode(self, inputs: np.ndarray) -> list[str]:
        """Returns one text per row, as "age=31, colour=red", its first columns."""
        texts = []
        for row in np.asarray(inputs, np.float64):
            shown, start = [], 0
            for column in self.columns[:_SHOWN]:
                values = row[start : start + column.width]
                shown.append(f"{column.name}={_decode_cell(column, values)}")
                start += column.width
            texts.append(", ".join(shown) + (", ..." if len(self.columns) > _SHOWN else ""))
        return texts

    def columns_of(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the columns of the table again, from encoded inputs float32[n, size].

        Returns:
          Column name -> float32[n], NaN where it was missing, or str[n], "(other)" where it was
          missing or a category that was not kept.
        """
        found: dict[str, np.ndarray] = {}
        start = 0
        for column in self.columns:
            values = np.asarray(inputs)[:, start : start + column.width]
            start += column.width
            if column.categories:
                names = np.array([*column.categories, "(other)"])
                found[column.name] = names[values.argmax(axis=1)]
            else:
                known = values[:, 0] * column.std + column.mean
                missing = values[:, 1] > 0 if column.marks_missing else np.zeros(len(known), bool)
                found[column.name] = np.where(missing, np.nan, known).astype(np.float32)
        return found

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        columns = [dataclasses.asdict(c) | {"categories": list(c.categories)} for c in self.columns]
        return {"kind": "table", "columns": columns, "ignored": list(self.ignored)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> TabularEncoder:
        """Restores an encoder from the fields of `to_json`."""
        columns = (
            Column(**(column | {"categories": tuple(column["categories"])}))
            for column in stored["columns"]
        )
        return cls(tuple(columns), tuple(stored["ignored"]))


def is_missing(cell: Any) -> bool:
    """Says whether a cell holds no value: None, NaN, or a text such as "" or "NA"."""
    if cell is None:
        return True
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return isinstance(cell, float) and math.isnan(cell)


def as_number(cell: Any) -> float | None:
    """Returns a cell as a number, or None if it is not one."""
    if isinstance(cell, bool):
        return None  # a category with two values
    try:
        return float(cell)
    except OverflowError:  # a whole number of hundreds of digits, as JSON allows
        return math.inf if cell > 0 else -math.inf
    except (TypeError, ValueError):
        return None


def _fit_column(name: str, cells: Sequence[Any]) -> Column:
    known = [cell for cell in cells if not is_missing(cell)]
    numbers = [as_number(cell) for cell in known]
    if None in numbers:
        counts = Counter(_text(cell) for cell in known)
        frequent = sorted(counts, key=lambda value: (-counts[value], value))[:_MAX_CATEGORIES]
        return Column(name, categories=tuple(sorted(frequent)))
    values = np.array(numbers, np.float64)
    values = values[np.isfinite(values)]
    constant = values.size == 0 or values.min() == values.max()
    return Column(
        name,
        mean=float(values.mean()) if values.size else 0.0,
        std=0.0 if constant else float(values.std()),
        marks_missing=len(known) < len(cells),
    )


def _encode_column(column: Column, cells: Sequence[Any]) -> np.ndarray:
    out = np.zeros((len(cells), column.width))
    if column.categories:
        slots = {value: slot for slot, value in enumerate(column.categories)}
        other = len(column.categories)
        picked = [other if is_missing(c) else slots.get(_text(c), other) for c in cells]
        out[np.arange(len(cells)), picked] = 1.0
        return out
    for row, cell in enumerate(cells):
        if is_missing(cell):
            if column.marks_missing:
                out[row, 1] = 1.0
            continue  # the mean is 0 after standardising
        number = as_number(cell)
        if number is None:
            raise TaskError(
                f"column {column.name!r} was numeric in training, but row {row} has {cell!r}; "
                "correct it or leave it empty."
            )
        if column.std > 0.0 or not math.isfinite(number):
            out[row, 0] = (number - column.mean) / (column.std or 1.0)
    return out


def _decode_cell(column: Column, values: np.ndarray) -> str:
    if column.categories:
        slot = int(np.argmax(values))
        return column.categories[slot] if slot < len(column.categories) else "(other)"
    if column.marks_missing and values[1] > 0.5:
        return "(missing)"
    return f"{values[0] * column.std + column.mean:.4g}"


def _text(cell: Any) -> str:
    return cell.strip() if isinstance(cell, str) else str(cell)
