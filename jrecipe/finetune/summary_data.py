"""Texts, and a text to write for each of them (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from jrecipe.finetune.buckets import bucket_lengths
from jrecipe.finetune.fields import complete_rows, counted, text_field
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.text_data import TextData, tally
from jrecipe.finetune.tokenized import Tokens, WritingSource
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.types import TaskError


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SummaryData(TextData):
    """Texts to read and to write; see `summary_data`.

    Attributes:
      references: the right texts of each example, for `summary_scores`; the first is the target.
    """

    references: tuple[tuple[str, ...], ...] = dataclasses.field(repr=False)


def summary_data(
    rows: TextRows | Sequence[Row],
    tokenizer: TextTokenizer,
    *,
    text: str = "text",
    summary: str = "summary",
    prefix: str = "",
    start: int | None = None,
    max_length: int,
    summary_length: int,
) -> SummaryData:
    """Returns rows as data for `jr.models.T5`; targets are tokens int32[b, s].

    The loss is `jr.losses.token_cross_entropy(pad=tokenizer.pad_id)`. All targets of a source have
    one width s, the bucket of the longest.

    Args:
      rows: see `read_rows`; or a list of dicts. A row where a field is null is left out and
        counted.
      tokenizer: of the network.
      text: field of the text to read.
      summary: field of the text to write; or a list of right ones, of which the first is learned.
      prefix: stands before each text to read, such as "summarize: " for the public T5.
      start: token that the decoder reads first; None for that of padding, as T5 has it.
      max_length: most tokens of a text to read.
      summary_length: most tokens of a text to write, its end token among them.

    Raises:
      TaskError: if a field is missing or no text, with its row; or the tokenizer puts no end token
        behind a text.
    """
    rows = as_rows(rows)
    kept, notes = complete_rows(rows, [text, summary])
    references = tuple(_texts(rows, int(i), summary) for i in kept)
    texts = text_field(rows, kept, text)
    first = [each[0] for each in references]
    read = tokenizer.encode([prefix + each for each in texts], max_length=max_length)
    written = tokenizer.encode(first, max_length=summary_length)
    last = {each.ids[-1] for each in written if each.sides[-1] < 0}
    if last != {tokenizer.end_id}:
        raise TaskError(
            f"{tokenizer.where} puts no end token behind a text, so that writing would not end; "
            "give the tokenizer of a T5."
        )
    cut = [each for each in written if each.cut]
    if cut:
        share = counted(len(cut), len(written), "texts to write")
        most = max(each.length for each in cut)
        notes += (f"{share} were cut to {summary_length} tokens; the longest has {most:,}.",)
    empty = sum(not each.strip() for each in first)
    if empty:
        notes += (f"{counted(empty, len(first), 'texts to write')} are empty.",)
    tokens, targets = (Tokens.of(each, tokenizer.pad_id) for each in (read, written))
    counts = tally(read, tokenizer, max_length)
    return SummaryData(
        source=WritingSource(
            tokens,
            targets.ids,
            bucket_lengths(tokens.lengths, max_length),
            width=int(bucket_lengths(targets.lengths, summary_length).max()),
            start=tokenizer.pad_id if start is None else start,
        ),
        kept=kept,
        keys=tuple((each,) for each in texts),
        references=references,
        **counts.fields(rows, kept, *notes),
    )


def _texts(rows: TextRows, row: int, field: str) -> tuple[str, ...]:
    """Returns one or several right texts."""
    value: Any = rows[row][field]
    several = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    if not several or not all(isinstance(each, str) for each in several):
        raise TaskError(
            f"{rows.place(row)}: {field!r} needs a text, or a list of them, got {value!r:.60}."
        )
    return several
