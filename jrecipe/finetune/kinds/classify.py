"""Classes of texts, or of pairs of texts: sentiment, topics (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import numpy as np

from jrecipe import losses
from jrecipe.finetune.classify_data import classify_data
from jrecipe.finetune.kinds.typed import one_token, parts_of
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.scores import ClassScores, class_scores
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.models.pooling import Pool
from jrecipe.models.text_classifier import TextClassifier
from jrecipe.types import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classify:
    """A class for each text; its score is accuracy.

    Attributes:
      text: field of a row that holds the text.
      second: field of a second text that belongs to it, or None.
      label: field of the class.
      max_length: most tokens of a text; longer ones are cut and counted.
      pool: how tokens become one vector, "mean" or "cls".
      dropout: before the head, in [0, 1).
    """

    name: ClassVar[str] = "classify"
    summary_of: ClassVar[str] = "a class for each text, as sentiment or topic"
    measure: ClassVar[str] = "accuracy"

    text: str = "text"
    second: str | None = None
    label: str = "label"
    max_length: int = 128
    pool: Pool = "mean"
    dropout: float = 0.1

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> TextData:
        """Returns tokens and class numbers."""
        return classify_data(
            rows,
            tokenizer,
            text=self.text,
            second=self.second,
            label=self.label,
            labels=labels,
            max_length=self.max_length,
        )

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns a row of a text, or of two with a tab between."""
        if self.second is None:
            return {self.text: text}
        return dict(zip((self.text, self.second), parts_of(text, 2), strict=True))

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns the row with the first class."""
        return {**row, self.label: labels[0]}

    def example(self) -> PyTree:
        """Returns one text of one token."""
        return one_token()

    def network(self, encoder: Any, labels: Sequence[str]) -> TextClassifier:
        """Returns a pooled encoder with an output for each class."""
        return TextClassifier(encoder, len(labels), pool=self.pool, dropout=self.dropout)

    def loss(self, labels: Sequence[str]) -> losses.Loss:
        """Returns the cross-entropy of the classes."""
        return losses.softmax_cross_entropy()

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns the probabilities float32[b, classes]."""
        logits: Any = network.apply({"params": params}, inputs)
        return jax.nn.softmax(logits)

    def answers(
        self, decided: Sequence[PyTree], data: TextData, tokenizer: TextTokenizer
    ) -> list[Any]:
        """Returns for each text its class and the probabilities of all."""
        return [
            {
                "answer": data.labels[int(np.argmax(row))],
                "probability": float(np.max(row)),
                "probabilities": dict(zip(data.labels, map(float, row), strict=True)),
            }
            for row in decided
        ]

    def score(self, answers: Sequence[Any], data: TextData) -> ClassScores:
        """Returns accuracy, and precision, recall and F1 of each class."""
        guessed = [answer["answer"] for answer in answers]
        source: Any = data.source
        right = [data.labels[target] for target in np.asarray(source.targets).tolist()]
        return class_scores(guessed, right, data.labels)

    def headline(self, scores: ClassScores) -> float:
        """Returns the accuracy."""
        return scores.accuracy
