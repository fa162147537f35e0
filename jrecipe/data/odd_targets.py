"""A few cells of a target column that are of another kind than the rest (A2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from jrecipe.data.encode_table import as_number

Kind = Literal["number", "infinite", "word"]
RARE = 0.05  # share up to which cells of another kind are damage
_LARGEST = float(np.finfo(np.float32).max)


def kind_of(cell: Any) -> Kind:
    """Returns what a known cell is; "infinite" is a number that float32 cannot hold."""
    number = as_number(cell)
    if number is None:
        return "word"
    return "number" if abs(number) <= _LARGEST else "infinite"


def odd_kinds(cells: Sequence[Any], kind: str | None = None) -> Mapping[Kind, bool]:
    """Finds the kinds of cells that do not belong into a target column.

    Words among numbers, or numbers among words, do not belong if they are at most 5 %: else all are
    words. Numbers that are not finite never belong to numbers.

    Args:
      cells: the known targets of all splits.
      kind: "classes" or "number" to insist, or None to look.

    Returns:
      Kind -> whether nothing can be trained on with it. A word is a class of its own where the
      numbers are classes, but no measurement.

    Example:
      >>> odd_kinds([0.5 + i for i in range(40)] + ["high"])
      {'word': True}
      >>> odd_kinds([0, 1] * 20 + ["high"]), odd_kinds(["low", "high", 3])
      ({'word': False}, {})
    """
    counts = Counter(map(kind_of, cells))
    words, numbers = counts["word"], counts["number"] + counts["infinite"]
    if words > RARE * len(cells):
        return {"number": False, "infinite": False} if 0 < numbers <= RARE * len(cells) else {}
    odd: dict[Kind, bool] = {}
    if words:
        odd["word"] = kind == "number" or (kind is None and _measured(cells))
    if counts["infinite"]:
        odd["infinite"] = True
    return odd


def oddness(cell: Any) -> str:
    """Says of a cell of an odd kind what is wrong with it."""
    shown = str(cell).strip()
    shown = shown if len(shown) <= 40 else f"{shown[:37]}..."
    if kind_of(cell) == "infinite":
        return f"target {shown} is not finite, or too large"
    if kind_of(cell) == "word":
        return f"target {shown!r} is no number, as the others are"
    return f"target {shown!r} is a number, while the others are words"


def _measured(cells: Sequence[Any]) -> bool:
    """Says whether the numbers among the cells are measurements, not classes."""
    numbers = np.array([as_number(cell) for cell in cells if kind_of(cell) == "number"])
    whole = bool((numbers == np.round(numbers)).all())
    return not whole or len(np.unique(numbers)) > max(20.0, len(numbers) ** 0.5)
