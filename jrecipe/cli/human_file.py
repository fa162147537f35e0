"""A person's answers on the validation split, from a JSON file (B6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.types import TaskError

_WAY_OUT = 'write {"rows": [0, 4], "labels": ["cat", "dog"]}, rows of the validation split from 0'


def read_human(path: str, class_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Reads `{"rows": [...], "labels": [...]}`.

    Args:
      path: the JSON file.
      class_names: for labels that are given by name.

    Returns:
      `(rows int[k], answers)`; class indices for names, else the numbers as they are.

    Raises:
      TaskError: naming what cannot be understood.
    """
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"--human {path} cannot be read ({error}); {_WAY_OUT}.") from error
    if not isinstance(stored, dict) or not {"rows", "labels"} <= set(stored):
        raise TaskError(f"--human {path} lacks rows and labels; {_WAY_OUT}.")
    rows, labels = stored["rows"], stored["labels"]
    if not isinstance(rows, list) or not all(type(row) is int for row in rows):
        raise TaskError(
            f"--human {path}: rows are {str(rows)[:60]}, not whole numbers; {_WAY_OUT}."
        )
    if not isinstance(labels, list) or len(labels) != len(rows) or not rows:
        raise TaskError(
            f"--human {path}: labels need one entry for each of {len(rows)} rows; {_WAY_OUT}."
        )
    return np.array(rows), np.array([_label(label, class_names, path) for label in labels])


def _label(label: Any, class_names: tuple[str, ...], path: str) -> Any:
    if isinstance(label, str):
        if label not in class_names:
            known = ", ".join(class_names[:12]) or "none, so give numbers"
            raise TaskError(
                f"--human {path}: label {label!r} is no class; the classes are {known}."
            )
        return class_names.index(label)
    if isinstance(label, bool) or not isinstance(label, int | float):
        raise TaskError(
            f"--human {path}: label {label!r} is no class name and no number; {_WAY_OUT}."
        )
    if class_names and not (isinstance(label, int) and 0 <= label < len(class_names)):
        raise TaskError(
            f"--human {path}: label {label} is out of range 0 to {len(class_names) - 1}; "
            f"{_WAY_OUT}."
        )
    return label
