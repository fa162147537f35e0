"""Texts, or pairs of texts, and a class for each (J5)."""

from __future__ import annotations

from collections.abc import Sequence

from jrecipe.finetune.fields import complete_rows, text_field
from jrecipe.finetune.label_names import label_indices, label_name, names_of
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.text_data import TextData, tally
from jrecipe.finetune.tokenized import tokenized
from jrecipe.finetune.tokenizer import TextTokenizer


def classify_data(
    rows: TextRows | Sequence[Row],
    tokenizer: TextTokenizer,
    *,
    text: str = "text",
    second: str | None = None,
    label: str = "label",
    labels: Sequence[str | int] | None = None,
    max_length: int,
) -> TextData:
    """Returns rows as data for `jr.models.TextClassifier`; targets are classes int32[b].

    Args:
      rows: see `read_rows`; or a list of dicts. A row where one of the fields is null, or the label
        is empty, is left out and counted.
      tokenizer: of the network.
      text: field of the text.
      second: field of a second text, for pairs that the network reads together.
      label: field of the class, a text or number.
      labels: names of the classes in order, those of the training data for any other data; None for
        all that occur, sorted.
      max_length: most tokens; see `TextTokenizer.encode`.

    Raises:
      TaskError: if a field is missing or no text, or a label is not among `labels`; with its row.
    """
    rows = as_rows(rows)
    fields = [text] if second is None else [text, second]
    kept, notes = complete_rows(rows, [*fields, label], filled=[label])
    texts = [text_field(rows, kept, field) for field in fields]
    values = [rows[int(i)][label] for i in kept]
    names = names_of(values) if labels is None else tuple(label_name(name) for name in labels)
    targets = label_indices(values, names, lambda i: rows.place(int(kept[i])))
    encoded = tokenizer.encode(*texts, max_length=max_length)
    counts = tally(encoded, tokenizer, max_length)
    return TextData(
        source=tokenized(encoded, targets, pad=tokenizer.pad_id, longest=max_length),
        labels=names,
        kept=kept,
        keys=tuple(zip(*texts, strict=True)),
        **counts.fields(rows, kept, *notes),
    )
