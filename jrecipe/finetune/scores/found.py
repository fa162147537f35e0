"""How well the members of one class are found, and many classes as a table."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Found:
    """How well the members of one class, or entities of one type, are found.

    Attributes:
      precision: share of what was predicted that is right, 0 if nothing was.
      recall: share of what there is that was predicted, 0 if there is nothing.
      f1: their harmonic mean.
      n: how many there are among the targets.
    """

    precision: float
    recall: float
    f1: float
    n: int


def table(rows: Mapping[str, Found]) -> str:
    """Returns lines of name, precision, recall, F1 and n, shares in percent with one decimal.

    Example:
      >>> print(table({"PER": Found(0.5, 1.0, 2 / 3, 4)}))
           precision  recall      F1       n
      PER       50.0   100.0    66.7       4
    """
    wide = max((len(name) for name in rows), default=0)
    lines = [f"{'':{wide}}  precision  recall      F1       n"]
    for name, row in rows.items():
        shares = f"{100 * row.precision:9.1f} {100 * row.recall:7.1f} {100 * row.f1:7.1f}"
        lines.append(f"{name:{wide}}  {shares} {row.n:7d}")
    return "\n".join(lines)
