"""Tokenised texts as sources, padded to the bucket of a batch when they are read (J5).

Each has `buckets` int32[n], the padded length of each row: rows of one bucket give one shape. Those
for encoders have `lengths` too, and `unpadded(rows)`, which adds "room" to the inputs for
`jr.models.Bert` where all tokens of the batch fit into it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from jrecipe.finetune.buckets import bucket_lengths, rooms
from jrecipe.finetune.ragged import Ragged
from jrecipe.finetune.tokenizer import Encoded
from jrecipe.types import PyTree

PADDING = -1  # of tags, and of the places of words


@dataclasses.dataclass(frozen=True, eq=False)
class Tokens:
    """n tokenised texts.

    Attributes:
      ids: of the tokens.
      types: segment of each token.
      pad: id that stands at padding.
    """

    ids: Ragged
    types: Ragged
    pad: int

    @classmethod
    def of(cls, encoded: Sequence[Encoded], pad: int) -> Tokens:
        """Returns what a tokenizer gave, packed."""
        ids = Ragged.of((each.ids for each in encoded), np.int32)
        types = Ragged.of((each.types for each in encoded), np.int32)
        return cls(ids, types, pad)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each text, int64[n]."""
        return self.ids.lengths

    def take(self, rows: np.ndarray, width: int) -> dict[str, np.ndarray]:
        """Returns `{"ids": int32[k, width], "mask": bool[k, width], "types": int32[k, width]}`."""
        return {
            "ids": self.ids.padded(rows, width, self.pad),
            "mask": self.ids.mask(rows, width),
            "types": self.types.padded(rows, width, 0),
        }

    def room(self, rows: np.ndarray, most: int) -> dict[str, np.ndarray]:
        """Returns `{"room": bool[k, most]}`, or {} if rows int[k] have over k * most tokens."""
        fits = self.lengths[rows].sum() <= most * len(rows)
        return {"room": np.zeros((len(rows), most), bool)} if fits else {}


@dataclasses.dataclass(frozen=True, eq=False)
class TokenizedSource:
    """Texts, and for each a target: a class, a number, a span, or a tag for each of its words.

    Attributes:
      tokens: the texts.
      targets: [n] or [n, ...]; or tags per word, which are padded with -1.
      buckets: int32[n], the padded length of each row.
      words: place of the first token of each word; None where there are no words.
    """

    tokens: Tokens
    targets: np.ndarray | Ragged
    buckets: np.ndarray
    words: Ragged | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64[n]."""
        return self.tokens.lengths

    @functools.cached_property
    def rooms(self) -> dict[int, int]:
        """For each bucket, how many tokens a text has in a batch."""
        return rooms(self.lengths, self.buckets)

    def unpadded(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns the same as `take`, with "room" for the tokens if they fit."""
        inputs, targets = self.take(rows)
        width = inputs["ids"].shape[1]
        return {**inputs, **self.tokens.room(rows, self.rooms[width])}, targets

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `(inputs, targets)` of the examples `rows` int[k], t their largest bucket.

        Inputs are `{"ids": int32[k, t], "mask": bool[k, t], "types": int32[k, t]}`, with words also
        "words" int32[k, t]; then targets are int32[k, t] too.
        """
        rows = np.asarray(rows)
        width = _width(self.buckets, rows)
        inputs = self.tokens.take(rows, width)
        if self.words is not None:
            inputs["words"] = self.words.padded(rows, width, PADDING)
        if isinstance(self.targets, Ragged):
            return inputs, self.targets.padded(rows, width, PADDING)
        return inputs, self.targets[rows]


@dataclasses.dataclass(frozen=True, eq=False)
class PairSource:
    """Pairs of texts that are encoded one by one, as `jr.models.PairSimilarity` takes them.

    Attributes:
      first: n texts.
      second: n texts.
      targets: float32[n].
      buckets: int32[n], of the longer text of each pair.
    """

    first: Tokens
    second: Tokens
    targets: np.ndarray
    buckets: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of the longer text of each pair, int64[n]."""
        return np.maximum(self.first.lengths, self.second.lengths)

    @functools.cached_property
    def rooms(self) -> dict[int, int]:
        """For each bucket, how many tokens the longer text has in a batch."""
        return rooms(self.lengths, self.buckets)

    def unpadded(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns the same as `take`, with "room" for the tokens of each text if they fit."""
        inputs, targets = self.take(rows)
        most = self.rooms[inputs["first"]["ids"].shape[1]]
        found = {
            name: {**inputs[name], **tokens.room(rows, most)}
            for name, tokens in (("first", self.first), ("second", self.second))
        }
        return found, targets

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `({"first": ..., "second": ...}, targets)`, each text as in `Tokens.take`."""
        rows = np.asarray(rows)
        width = _width(self.buckets, rows)
        inputs = {"first": self.first.take(rows, width), "second": self.second.take(rows, width)}
        return inputs, self.targets[rows]


@dataclasses.dataclass(frozen=True, eq=False)
class WritingSource:
    """Texts, and for each the text that is to be written, as `jr.models.T5` takes them.

    Attributes:
      tokens: the texts that are read.
      written: tokens of the texts to write, the end token among them.
      buckets: int32[n], of the texts that are read.
      width: padded length of all texts to write, s.
      start: token that the decoder reads first.
    """

    tokens: Tokens
    written: Ragged
    buckets: np.ndarray
    width: int
    start: int

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `(inputs, targets)` of the examples `rows` int[k].

        Inputs are `{"ids": int32[k, t], "mask": bool[k, t], "decoder_ids": int32[k, s]}`, the last
        being the targets one place to the right, behind `start`; targets are int32[k, s], padded
        with the tokenizer's padding for `jr.losses.token_cross_entropy(pad=...)`.
        """
        rows = np.asarray(rows)
        inputs = self.tokens.take(rows, _width(self.buckets, rows))
        del inputs["types"]
        targets = self.written.padded(rows, self.width, self.tokens.pad)
        shifted = np.roll(targets, 1, axis=1)
        shifted[:, 0] = self.start
        return {**inputs, "decoder_ids": shifted}, targets


AnyTokenized = TokenizedSource | PairSource | WritingSource


def tokenized(
    encoded: Sequence[Encoded],
    targets: np.ndarray | Ragged,
    *,
    pad: int,
    longest: int,
    words: Ragged | None = None,
) -> TokenizedSource:
    """Returns tokens with their targets as a source, in buckets of at most `longest` tokens."""
    tokens = Tokens.of(encoded, pad)
    return TokenizedSource(
        tokens, targets, bucket_lengths(tokens.lengths, longest, few=True), words
    )


def _width(buckets: np.ndarray, rows: np.ndarray) -> int:
    return int(buckets[rows].max(initial=1))
