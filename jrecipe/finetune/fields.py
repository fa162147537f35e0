"""The fields of rows that a task needs, and the rows that lack one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.finetune.rows import TextRows
from jrecipe.types import TaskError


def require_fields(rows: TextRows, names: Sequence[str]) -> None:
    """Raises TaskError if a row lacks one of the fields; null is not a lack."""
    for i, row in enumerate(rows.rows):
        for name in names:
            if name not in row:
                there = ", ".join(map(repr, row)) or "none"
                raise TaskError(
                    f"{rows.place(i)}: no field {name!r}; its fields are {there}: name the one "
                    "to use."
                )


def complete_rows(
    rows: TextRows, names: Sequence[str], *, filled: Sequence[str] = ()
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the rows that have all fields, int32[n], and how many do not, in sentences.

    Args:
      rows: where to look.
      names: fields that must not be null.
      filled: those of them that must not be an empty text either, such as a label.

    Raises:
      TaskError: if a row lacks a field altogether, or no row is left.
    """
    require_fields(rows, names)
    kept = np.ones(len(rows), bool)
    notes = []
    for name in names:
        nothing = (None, "") if name in filled else (None,)
        absent = np.array([_is_one_of(row[name], nothing) for row in rows.rows]) & kept
        if absent.any():
            notes.append(
                f"{counted(absent.sum(), len(rows), 'rows')} without {name!r} were left out."
            )
            kept &= ~absent
    if not kept.any():
        raise TaskError(
            f"{rows.where or 'rows'}: no row has all of {', '.join(map(repr, names))}; "
            "name other fields, or give rows that have them."
        )
    return np.flatnonzero(kept).astype(np.int32), tuple(notes)


def text_field(rows: TextRows, kept: Sequence[int] | np.ndarray, name: str) -> list[str]:
    """Returns a field of the rows `kept` as texts.

    Raises:
      TaskError: if it is no text in one of them.
    """
    out = []
    for i in kept:
        value = rows[int(i)][name]
        if not isinstance(value, str):
            raise TaskError(f"{rows.place(int(i))}: {name!r} needs a text, got {value!r:.60}.")
        out.append(value)
    return out


def list_field(rows: TextRows, kept: Sequence[int] | np.ndarray, name: str) -> list[list[Any]]:
    """Returns a field of the rows `kept` as lists.

    Raises:
      TaskError: if it is no list in one of them.
    """
    out = []
    for i in kept:
        value = rows[int(i)][name]
        if not isinstance(value, (list, tuple)):
            raise TaskError(f"{rows.place(int(i))}: {name!r} needs a list, got {value!r:.60}.")
        out.append(list(value))
    return out


def counted(count: int, of: int, what: str) -> str:
    """Returns a count in words.

    Example:
      >>> counted(31, 6920, "texts")
      '31 of 6,920 texts (0.45 %)'
    """
    return f"{int(count):,} of {int(of):,} {what} ({percent(count / max(of, 1))})"


def percent(share: float) -> str:
    """Returns a share in percent, with two digits where it is below 10 %.

    Example:
      >>> percent(0.00449), percent(0.12345), percent(1.0)
      ('0.45 %', '12 %', '100 %')
    """
    return f"{100 * share:.{'2g' if share < 0.0995 else '0f'}} %"


def _is_one_of(value: Any, nothing: tuple[Any, ...]) -> bool:
    return value is None or (isinstance(value, str) and value in nothing)
