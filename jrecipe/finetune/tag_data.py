"""Words, and a tag for each of them (J5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.finetune.fields import complete_rows, counted, list_field
from jrecipe.finetune.label_names import label_indices, label_name, names_of
from jrecipe.finetune.ragged import Ragged
from jrecipe.finetune.rows import Row, TextRows, as_rows
from jrecipe.finetune.text_data import TextData, tally
from jrecipe.finetune.tokenized import tokenized
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.types import TaskError


def tag_data(
    rows: TextRows | Sequence[Row],
    tokenizer: TextTokenizer,
    *,
    words: str = "tokens",
    tags: str = "tags",
    labels: Sequence[str | int] | None = None,
    max_length: int,
) -> TextData:
    """Returns rows as data for `jr.models.Tagger`; targets are tags int32[b, t], -1 at padding.

    Inputs have "words" int32[b, t], the place of each word's first token, -1 at padding. Words
    behind the last token that fits are cut off together with their tags, and counted.

    Args:
      rows: see `read_rows`; or a list of dicts. A row where a field is null is left out and
        counted.
      tokenizer: of the network.
      words: field of the words, a list of texts.
      tags: field of their tags, a list.
      labels: names of the tags in order, those of the training data for any other data; None for
        all that occur, sorted, "O" first.
      max_length: most tokens; see `TextTokenizer.encode_words`.

    Raises:
      TaskError: if a field is missing or no list, there is not one tag for each word, or a tag is
        not among `labels`; with its row.
    """
    rows = as_rows(rows)
    kept, notes = complete_rows(rows, [words, tags])
    texts = list_field(rows, kept, words)
    tagged = list_field(rows, kept, tags)
    _check(rows, kept, texts, tagged)
    if labels is None:
        names = names_of(tag for row in tagged for tag in row)
        names = tuple(sorted(names, key=lambda name: name != "O"))
    else:
        names = tuple(label_name(name) for name in labels)
    owner = [row for row, each in enumerate(tagged) for _ in each]
    flat = label_indices(
        [tag for each in tagged for tag in each], names, lambda i: rows.place(int(kept[owner[i]]))
    )
    encoded = tokenizer.encode_words(texts, max_length=max_length)
    places = [_first_places(each.words) for each in encoded]
    starts = np.cumsum([0, *(len(each) for each in tagged)])
    targets = [
        flat[start : start + len(p)].tolist() for start, p in zip(starts, places, strict=False)
    ]
    lost, added = len(flat) - sum(map(len, places)), sum(each.wordless for each in encoded)
    if lost:
        share = counted(lost, len(flat), "words")
        notes += (f"{share} were cut off with their tags; no score counts them.",)
    if added:
        share = counted(added, len(flat), "words")
        notes += (f"{share} have no token; they became the unknown token.",)
    counts = tally(encoded, tokenizer, max_length)
    return TextData(
        source=tokenized(
            encoded,
            Ragged.of(targets, np.int32),
            pad=tokenizer.pad_id,
            longest=max_length,
            words=Ragged.of(places, np.int32),
        ),
        labels=names,
        kept=kept,
        keys=tuple((" ".join(text),) for text in texts),
        **counts.fields(rows, kept, *notes),
    )


def _check(
    rows: TextRows, kept: np.ndarray, texts: list[list[Any]], tagged: list[list[Any]]
) -> None:
    for i, text, tags in zip(kept, texts, tagged, strict=True):
        if len(text) != len(tags):
            raise TaskError(
                f"{rows.place(int(i))}: {len(text)} words, but {len(tags)} tags; give one tag for "
                "each word."
            )
        strange = [word for word in text if not isinstance(word, str)]
        if strange:
            raise TaskError(f"{rows.place(int(i))}: words need texts, got {strange[0]!r:.60}.")


def _first_places(words: list[int]) -> list[int]:
    """Returns the place of the first token of each word, from the word of each token."""
    places: dict[int, int] = {}
    for place, word in enumerate(words):
        if word >= 0:
            places.setdefault(word, place)
    return list(places.values())
