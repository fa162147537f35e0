"""What predictions and targets of a split must be before they are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jrecipe.types import TaskError


def same_length(predictions: Sequence[Any], targets: Sequence[Any], what: str) -> int:
    """Returns how many there are, or raises TaskError if there are none or not equally many."""
    if len(predictions) != len(targets):
        raise TaskError(
            f"predictions are {len(predictions)} {what} for {len(targets)} targets; give one "
            "prediction per target, in the same order."
        )
    if not len(targets):
        raise TaskError(f"targets are 0 {what}; there is nothing to score, give at least one.")
    return len(targets)


def require_text(value: Any, name: str, row: int) -> None:
    """Raises TaskError unless `value` is a string."""
    if not isinstance(value, str):
        raise TaskError(
            f"{name} need strings, got {value!r} in row {row}; decode the tokens to text first."
        )
