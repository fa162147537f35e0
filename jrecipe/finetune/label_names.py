"""Labels of rows as class indices, and the names of the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from jrecipe.types import TaskError


def label_name(value: Any) -> str:
    """Returns the name of a label; equal for 1, 1.0 and "1", so that file formats do not matter."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def names_of(values: Iterable[Any]) -> tuple[str, ...]:
    """Returns the names of all labels that occur, in order of the numbers if all are whole ones.

    Example:
      >>> names_of([10, 9, 9]), names_of(["b", "a"])
      (('9', '10'), ('a', 'b'))
    """
    names = {label_name(value) for value in values}
    whole = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=int if whole else str))


def label_indices(
    values: Sequence[Any], names: Sequence[str], place: Callable[[int], str]
) -> np.ndarray:
    """Returns labels as int32[n] in 0..c-1.

    Args:
      values: n labels.
      names: of the c classes.
      place: says where the i-th label stands, for messages.

    Raises:
      TaskError: if a label is none of them, or a name stands there twice.
    """
    index = {name: i for i, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for i, name in enumerate(names) if index[name] != i)
        raise TaskError(f"labels need different names, got {twice!r} twice; drop one of them.")
    out = np.empty(len(values), np.int32)
    for i, value in enumerate(values):
        at = index.get(label_name(value))
        if at is None:
            known = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise TaskError(
                f"{place(i)}: label {label_name(value)!r} is unknown; known are {known}: correct "
                "it, or train with it too."
            )
        out[i] = at
    return out
