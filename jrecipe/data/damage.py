"""Damaged pieces of a data set: where they are, what is wrong, and who hears of them (A2).

A reader that meets one tells it to a `Notice`. Training refuses, which raises; looking at the data
collects, and the reader goes on with the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal

from jrecipe.types import TaskError

What = Literal["file", "line", "target", "class", "column", "only", "few"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Damage:
    """One damaged piece.

    Attributes:
      path: the file, folder or data set, as it was given.
      reason: what is wrong, without a full stop: "4 cells, but the header has 5 columns".
      what: "file" (unreadable, in whole or in part), "line" of a table, "target" (missing, or of
        another kind than the rest), "class" (without examples), "column" (of a table, with one
        value throughout), "only" (one class and no other), or "few" (too few examples to cut a
        split from).
      line: of the file, from 1, or None for the whole of it.
      fix: what to do about it, without a full stop.
      stops: whether training refuses it; otherwise it does without, and says so.
    """

    path: str
    reason: str
    what: What
    line: int | None = None
    fix: str
    stops: bool = True

    @property
    def place(self) -> str:
        """The file, with its line if there is one: "train.csv:17"."""
        return self.path if self.line is None else f"{self.path}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


Notice = Callable[[Damage], None]


class DamageError(TaskError):
    """Damage that training refuses: place, reason and way out in one line.

    Attributes:
      damage: the piece.
    """

    def __init__(self, damage: Damage) -> None:
        where = damage.path if damage.line is None else f"{damage.path}, line {damage.line}"
        super().__init__(f"{where}: {damage.reason}; {damage.fix}.")
        self.damage = damage


def refuse(damage: Damage) -> None:
    """Raises `DamageError` if it stops training; the `Notice` of everything that trains."""
    if damage.stops:
        raise DamageError(damage)


def first_of(damage: Sequence[Damage], most: int = 3) -> str:
    """Returns the first places with their reasons, and how many more there are.

    Example:
      >>> cut = Damage(path="a.png", reason="cut short", what="file", fix="get it again")
      >>> first_of([cut, cut, cut], most=1)
      'a.png: cut short; and 2 more'
    """
    shown = [str(piece) for piece in damage[:most]]
    if len(damage) > most:
        shown.append(f"and {len(damage) - most} more")
    return "; ".join(shown)
