"""Answers of a person, as the page writes them or as anybody may."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_WAY_OUT = 'write {"rows": [0, 4], "labels": ["cat", "dog"]}, rows of the split from 0'


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """What a person answered.

    Attributes:
      rows: int[k], examples of the split, each once.
      labels: [k], class indices, or numbers where there are no classes.
      seconds: float[k], time taken for each; empty if it was not measured.
      skipped: how many were looked at and left unanswered.
      split: the split, None if the file does not say.
      data: its mark, None if the file does not say.
      person: who answered, may be empty.
    """

    rows: np.ndarray
    labels: np.ndarray
    seconds: np.ndarray
    skipped: int = 0
    split: str | None = None
    data: str | None = None
    person: str = ""


def read_answers(path: str | Path, class_names: Sequence[str]) -> Answers:
    """Reads `{"rows": [...], "labels": [...]}`, and what the page of `jrecipe human` adds.

    Args:
      path: the JSON file.
      class_names: for labels that are given by name.

    Raises:
      TaskError: naming what cannot be understood.
    """
    where = f"human answers {path}"
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"{where} cannot be read ({error}); {_WAY_OUT}.") from error
    if not isinstance(stored, dict) or not {"rows", "labels"} <= set(stored):
        raise TaskError(f"{where}: there are no rows and labels; {_WAY_OUT}.")
    rows, labels = stored["rows"], stored["labels"]
    if not isinstance(rows, list) or not all(type(row) is int for row in rows):
        raise TaskError(f"{where}: rows are {str(rows)[:60]}, not whole numbers; {_WAY_OUT}.")
    if not isinstance(labels, list) or len(labels) != len(rows) or not rows:
        raise TaskError(f"{where}: labels need one entry for each of {len(rows)} rows; {_WAY_OUT}.")
    if len(set(rows)) < len(rows):
        twice = next(row for row in rows if rows.count(row) > 1)
        raise TaskError(f"{where}: row {twice} is answered twice; leave one answer for each row.")
    seconds = stored.get("seconds", [])
    if not _numbers(seconds) or len(seconds) not in (0, len(rows)):
        raise TaskError(f"{where}: seconds need a number for each row, or leave them out.")
    skipped = stored.get("skipped", [])
    return Answers(
        rows=np.array(rows),
        labels=np.array([_label(label, tuple(class_names), where) for label in labels]),
        seconds=np.array(seconds, np.float64),
        skipped=len(skipped) if isinstance(skipped, list) else 0,
        split=_text(stored.get("split")),
        data=_text(stored.get("data")),
        person=_text(stored.get("person")) or "",
    )


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and all(
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
        for value in values
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _label(label: Any, class_names: tuple[str, ...], where: str) -> Any:
    if isinstance(label, str):
        if label not in class_names:
            known = ", ".join(class_names[:12]) or "none, so give numbers"
            raise TaskError(f"{where}: label {label!r} is no class; the classes are {known}.")
        return class_names.index(label)
    if isinstance(label, bool) or not isinstance(label, int | float):
        raise TaskError(f"{where}: label {label!r} is no class name and no number; {_WAY_OUT}.")
    if class_names and not (isinstance(label, int) and 0 <= label < len(class_names)):
        raise TaskError(
            f"{where}: label {label} is out of range 0 to {len(class_names) - 1}; {_WAY_OUT}."
        )
    return label
