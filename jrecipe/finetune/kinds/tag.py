"""Tags of words: named entities (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from jrecipe import losses
from jrecipe.finetune.kinds.typed import one_token
from jrecipe.finetune.ragged import Ragged
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.scores import EntityScores, entity_scores
from jrecipe.finetune.tag_data import tag_data
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.models.tagger import Tagger
from jrecipe.types import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tag:
    """A BIO2 tag for each word; its score is the F1 of whole entities.

    Attributes:
      words: field of a row that holds the words.
      tags: field of the tags, as many.
      crf: score whole sequences by a linear-chain CRF; False decides word by word.
      max_length: most tokens of a text; longer ones are cut and counted.
      dropout: before the head, in [0, 1).
    """

    name: ClassVar[str] = "tag"
    summary_of: ClassVar[str] = "a tag for each word, as named entities in BIO2"
    measure: ClassVar[str] = "entity F1"

    words: str = "tokens"
    tags: str = "tags"
    crf: bool = True
    max_length: int = 128
    dropout: float = 0.1

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> TextData:
        """Returns tokens, the place of each word, and tag numbers."""
        return tag_data(
            rows,
            tokenizer,
            words=self.words,
            tags=self.tags,
            labels=labels,
            max_length=self.max_length,
        )

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns a row of the words of a text, which white space separates."""
        return {self.words: text.split()}

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns the row with the first tag for every word."""
        return {**row, self.tags: [labels[0]] * len(row.get(self.words, ()))}

    def example(self) -> PyTree:
        """Returns one text of one word of one token."""
        return {**one_token(), "words": np.zeros((1, 1), np.int32)}

    def network(self, encoder: Any, labels: Sequence[str]) -> Tagger:
        """Returns an encoder with a head for each word."""
        return Tagger(encoder, len(labels), crf=self.crf, dropout=self.dropout)

    def loss(self, labels: Sequence[str]) -> losses.Loss:
        """Returns the likelihood of whole sequences, or of single tags."""
        if self.crf:
            return losses.crf(labels)
        return losses.token_cross_entropy(pad=-1)

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns the tags int32[b, w], by Viterbi's algorithm with a CRF."""
        return self.loss(labels).decide(network.apply({"params": params}, inputs))

    def answers(
        self, decided: Sequence[PyTree], data: TextData, tokenizer: TextTokenizer
    ) -> list[Any]:
        """Returns the tags of the words of each text, those that were not cut off."""
        return [
            {"answer": [data.labels[int(tag)] for tag in row[:count]]}
            for row, count in zip(decided, _tags(data).lengths, strict=True)
        ]

    def score(self, answers: Sequence[Any], data: TextData) -> EntityScores:
        """Returns precision, recall and F1 of each kind of entity."""
        right = [
            [data.labels[int(tag)] for tag in tags]
            for tags in map(_tags(data).__getitem__, range(len(data)))
        ]
        return entity_scores([answer["answer"] for answer in answers], right)

    def headline(self, scores: EntityScores) -> float:
        """Returns the F1 of all entities."""
        return scores.f1


def _tags(data: TextData) -> Ragged:
    """Returns the right tags of each text."""
    source: Any = data.source
    targets: Ragged = source.targets
    return targets
