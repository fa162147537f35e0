"""Pairs of texts, and a number that says how alike they are (J5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.data.encode_table import as_number
from jrecipe.finetune.buckets import bucket_lengths
from jrecipe.finetune.fields import complete_rows, text_field
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.text_data import TextData, tally
from jrecipe.finetune.tokenized import PairSource, TokenizedSource, Tokens, tokenized
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.types import TaskError


def score_data(
    rows: TextRows | Sequence[Row],
    tokenizer: TextTokenizer,
    *,
    first: str = "s1",
    second: str = "s2",
    score: str = "score",
    low: float = 0.0,
    high: float = 5.0,
    pair: bool = True,
    max_length: int,
) -> TextData:
    """Returns rows as data for `jr.models.PairSimilarity`; targets are float32[b] in [0, 1].

    Args:
      rows: see `read_rows`; or a list of dicts. A row where one of the fields is null, or the score
        is empty, is left out and counted.
      tokenizer: of the network.
      first: field of one text.
      second: field of the other.
      score: field of the number.
      low: the least score there can be, which becomes 0.
      high: the highest, which becomes 1.
      pair: True encodes the texts one by one, for `PairSimilarity`; False reads them together, for
        `jr.models.TextClassifier(..., squeeze=True)`.
      max_length: most tokens of a text, or of both together if `pair` is False.

    Raises:
      TaskError: if a field is missing or no text, or a score is no number in [low, high]; with its
        row.
    """
    rows = as_rows(rows)
    if not low < high:
        raise TaskError(f"low needs to be below high, got {low} and {high}; try 0 and 5.")
    kept, notes = complete_rows(rows, [first, second, score], filled=[score])
    one, other = (text_field(rows, kept, field) for field in (first, second))
    targets = np.array([_scaled(rows, int(i), score, low, high) for i in kept], np.float32)
    source: PairSource | TokenizedSource
    if pair:
        encoded = tokenizer.encode([*one, *other], max_length=max_length)
        left, right = (
            Tokens.of(half, tokenizer.pad_id) for half in (encoded[: len(one)], encoded[len(one) :])
        )
        buckets = bucket_lengths(np.maximum(left.lengths, right.lengths), max_length, few=True)
        source = PairSource(left, right, targets, buckets)
    else:
        encoded = tokenizer.encode(one, other, max_length=max_length)
        source = tokenized(encoded, targets, pad=tokenizer.pad_id, longest=max_length)
    counts = tally(encoded, tokenizer, max_length)
    return TextData(
        source=source,
        kept=kept,
        keys=tuple(zip(one, other, strict=True)),
        **counts.fields(rows, kept, *notes),
    )


def _scaled(rows: TextRows, row: int, field: str, low: float, high: float) -> float:
    value = rows[row][field]
    number = None if isinstance(value, bool) else as_number(value)
    if number is None or not low <= number <= high:
        raise TaskError(
            f"{rows.place(row)}: {field!r} needs a number in [{low:g}, {high:g}], got {value!r}; "
            "correct it, or say low= and high=."
        )
    return (number - low) / (high - low)
