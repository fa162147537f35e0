"""Answers that stand in a text: extractive question answering (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn

from jrecipe import losses
from jrecipe.finetune.answer_data import AnswerData, answer_data
from jrecipe.finetune.answer_text import best_answers
from jrecipe.finetune.kinds.typed import one_token, parts_of
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.scores import AnswerScores, answer_scores
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.models.span_finder import SpanFinder
from jrecipe.types import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    """The words of a passage that answer a question; its score is the F1 of their words.

    Attributes:
      max_length: most tokens of question and passage together; longer passages are read in windows.
      stride: tokens that neighbouring windows share.
      dropout: before the head, in [0, 1).
    """

    name: ClassVar[str] = "answer"
    summary_of: ClassVar[str] = "the words of a passage that answer a question, as in SQuAD"
    measure: ClassVar[str] = "F1"

    max_length: int = 256
    stride: int = 96
    dropout: float = 0.1

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> AnswerData:
        """Returns windows of tokens, and where in them the first answer stands."""
        return answer_data(rows, tokenizer, max_length=self.max_length, stride=self.stride)

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns a row of a question and a passage, with a tab between."""
        return dict(zip(("question", "context"), parts_of(text, 2), strict=True))

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns the row without right answers."""
        return {**row, "answers": []}

    def example(self) -> PyTree:
        """Returns one text of one token."""
        return one_token()

    def network(self, encoder: Any, labels: Sequence[str]) -> SpanFinder:
        """Returns an encoder with a score for each token as start and as end."""
        return SpanFinder(encoder, dropout=self.dropout)

    def loss(self, labels: Sequence[str]) -> losses.Loss:
        """Returns the cross-entropy of start and end."""
        return losses.span_cross_entropy()

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns the logits float32[b, t, 2]."""
        return network.apply({"params": params}, inputs)

    def answers(
        self, decided: Sequence[PyTree], data: AnswerData, tokenizer: TextTokenizer
    ) -> list[Any]:
        """Returns for each question the best words of all its windows."""
        return [{"answer": text} for text in best_answers(decided, data)]

    def score(self, answers: Sequence[Any], data: AnswerData) -> AnswerScores:
        """Returns exact match and F1, the best over the right answers of each question."""
        return answer_scores([answer["answer"] for answer in answers], data.answers)

    def headline(self, scores: AnswerScores) -> float:
        """Returns the F1."""
        return scores.f1
