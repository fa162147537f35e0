"""How alike two texts are (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from jrecipe import losses
from jrecipe.finetune.kinds.typed import one_token, parts_of
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.score_data import score_data
from jrecipe.finetune.scores import Correlation, correlation
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.models.pair_similarity import PairSimilarity
from jrecipe.models.pooling import Pool
from jrecipe.types import PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class Similar:
    """A number for how alike two texts are, the cosine of their vectors; its score is Spearman's.

    Attributes:
      text: field of a row that holds the first text.
      second: field of the second.
      label: field of the number.
      low: number of texts that have nothing in common.
      high: number of texts that mean the same.
      max_length: most tokens of a text; longer ones are cut and counted.
      pool: how tokens become one vector, "mean" or "cls".
    """

    name: ClassVar[str] = "similar"
    summary_of: ClassVar[str] = "how alike two texts are, as in STS-B"
    measure: ClassVar[str] = "Spearman"

    text: str = "s1"
    second: str = "s2"
    label: str = "score"
    low: float = 0.0
    high: float = 5.0
    max_length: int = 128
    pool: Pool = "mean"

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> TextData:
        """Returns tokens of both texts, and numbers in [0, 1]."""
        return score_data(
            rows,
            tokenizer,
            first=self.text,
            second=self.second,
            score=self.label,
            low=self.low,
            high=self.high,
            max_length=self.max_length,
        )

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns a row of two texts with a tab between."""
        return dict(zip((self.text, self.second), parts_of(text, 2), strict=True))

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns the row with the lowest number."""
        return {**row, self.label: self.low}

    def example(self) -> PyTree:
        """Returns two texts of one token."""
        return {"first": one_token(), "second": one_token()}

    def network(self, encoder: Any, labels: Sequence[str]) -> PairSimilarity:
        """Returns the encoder, for both texts, and their cosine."""
        return PairSimilarity(encoder, pool=self.pool)

    def loss(self, labels: Sequence[str]) -> losses.Loss:
        """Returns the squared error of the cosine."""
        return losses.l2()

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns the cosines float32[b]."""
        return network.apply({"params": params}, inputs)

    def answers(
        self, decided: Sequence[PyTree], data: TextData, tokenizer: TextTokenizer
    ) -> list[Any]:
        """Returns numbers in the units of the file."""
        return [{"answer": self.low + (self.high - self.low) * float(row)} for row in decided]

    def score(self, answers: Sequence[Any], data: TextData) -> Correlation:
        """Returns Pearson's and Spearman's correlation."""
        source: Any = data.source
        guessed = np.array([answer["answer"] for answer in answers])
        return correlation(guessed, np.asarray(source.targets))

    def headline(self, scores: Correlation) -> float:
        """Returns Spearman's correlation."""
        return scores.spearman
