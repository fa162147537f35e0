"""What every kind of tokenised data has in common: a source, names, and what was counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.finetune.fields import counted
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.tokenized import AnyTokenized
from jrecipe.finetune.tokenizer import Encoded, TextTokenizer
from jrecipe.types import RecipeWarning


class TextWarning(RecipeWarning, UserWarning):
    """Some texts were cut or are empty, and answered all the same."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class TextData:
    """Tokenised rows, ready for a task, and what happened to them.

    Attributes:
      source: n examples.
      labels: names of the classes or tags in order; empty where there are none.
      notes: what was cut, left out or unusual, in sentences with counts.
      rows: how many rows there were.
      dropped: how many of them were left out.
      truncated: how many texts were cut.
      empty: how many texts have no token of their own.
      texts: how many texts were tokenised; two for a pair that is encoded one by one.
      unknown: share of the tokens that the tokenizer does not know, special ones not counted.
      kept: the row that each example is of, int32[n].
      keys: the parts of each example as text, to find it in other data.
    """

    source: AnyTokenized
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    dropped: int = 0
    truncated: int = 0
    empty: int = 0
    texts: int = 0
    unknown: float = 0.0
    kept: np.ndarray = dataclasses.field(repr=False)
    keys: tuple[tuple[str, ...], ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.source)

    def __str__(self) -> str:
        head = f"{len(self):,} examples of {self.rows:,} rows"
        return "\n".join([head, *self.notes])


@dataclasses.dataclass(frozen=True)
class Tally:
    """What was counted over tokenised texts; its fields are those of `TextData`."""

    texts: int
    truncated: int
    empty: int
    unknown: float
    notes: tuple[str, ...]

    def fields(self, rows: TextRows, kept: np.ndarray, *notes: str) -> dict[str, Any]:
        """Returns the fields of `TextData` that all tasks fill alike.

        Args:
          rows: all there were.
          kept: those that were used, without repetition.
          notes: what else was counted.
        """
        counts = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name != "notes"
        }
        said = (*rows.notes, *notes, *self.notes)
        return {**counts, "rows": len(rows), "dropped": len(rows) - len(kept), "notes": said}


def tally(encoded: Sequence[Encoded], tokenizer: TextTokenizer, max_length: int) -> Tally:
    """Counts what was cut, what is empty and what is unknown, and says so where it is not 0."""
    cut = sum(each.cut for each in encoded)
    empty = sum(max(each.sides) < 0 for each in encoded)
    own: list[int | None] = [
        token
        for each in encoded
        for token, side in zip(each.ids, each.sides, strict=True)
        if side >= 0
    ]
    strange = own.count(tokenizer.unknown_id)
    n, notes = len(encoded), []
    if cut:
        longest = max(each.length for each in encoded)
        notes.append(
            f"{counted(cut, n, 'texts')} were cut to {max_length} tokens; the longest has "
            f"{longest:,}."
        )
    if empty:
        notes.append(
            f"{counted(empty, n, 'texts')} are empty; they are the special tokens and nothing else."
        )
    if strange:
        notes.append(f"{counted(strange, len(own), 'tokens')} are unknown to the tokenizer.")
    return Tally(n, cut, empty, strange / max(len(own), 1), tuple(notes))
