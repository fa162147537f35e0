"""Texts that are written from texts: summaries, headlines (J5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import flax.linen as nn

from jrecipe import losses
from jrecipe.finetune.beam import beam_search
from jrecipe.finetune.kinds.typed import one_token
from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.scores import SummaryScores, summary_scores
from jrecipe.finetune.summary_data import SummaryData, summary_data
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.models.t5 import T5
from jrecipe.types import PyTree, TaskError

_PAD = 0  # of every T5, which reads it first as well


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summarise:
    """A text from a text, written by a T5 with beam search; its score is ROUGE-L.

    Attributes:
      text: field of a row that holds the text to read.
      summary: field of the text to write, or a list of right ones.
      prefix: stands before each text to read, as "summarize: " for the public T5.
      max_length: most tokens of a text to read; longer ones are cut and counted.
      summary_length: most tokens of a text to write.
      beams: of the search; 1 is greedy.
      length_penalty: above 0 favours longer texts.
      no_repeat: tokens of the runs that are not written twice; 0 allows repeats.
    """

    name: ClassVar[str] = "summarise"
    summary_of: ClassVar[str] = "a text from a text, as headlines"
    measure: ClassVar[str] = "ROUGE-L"

    text: str = "text"
    summary: str = "summary"
    prefix: str = ""
    max_length: int = 128
    summary_length: int = 32
    beams: int = 4
    length_penalty: float = 1.0
    no_repeat: int = 0

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> SummaryData:
        """Returns tokens to read and tokens to write."""
        return summary_data(
            rows,
            tokenizer,
            text=self.text,
            summary=self.summary,
            prefix=self.prefix,
            max_length=self.max_length,
            summary_length=self.summary_length,
        )

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns a row of a text."""
        return {self.text: text}

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns the row with any text to write; an empty one would be told of."""
        return {**row, self.summary: "-"}

    def example(self) -> PyTree:
        """Returns one text of one token, to read and to write."""
        text = one_token()
        return {**text, "decoder_ids": text["ids"]}

    def network(self, encoder: Any, labels: Sequence[str]) -> T5:
        """Returns the T5 itself."""
        if not isinstance(encoder, T5):
            raise TaskError(
                f"summarise needs a T5, which can write, got a {type(encoder).__name__}; give a "
                "folder of a T5."
            )
        return encoder

    def loss(self, labels: Sequence[str]) -> losses.Loss:
        """Returns the cross-entropy of the tokens to write."""
        return losses.token_cross_entropy(pad=_PAD)

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns the ids that the network writes, int32[b, summary_length]."""
        return beam_search(
            network,
            params,
            inputs,
            max_length=self.summary_length,
            beams=self.beams,
            length_penalty=self.length_penalty,
            no_repeat=self.no_repeat,
        ).ids

    def answers(
        self, decided: Sequence[PyTree], data: SummaryData, tokenizer: TextTokenizer
    ) -> list[Any]:
        """Returns the texts that were written."""
        return [{"answer": tokenizer.decode(row)} for row in decided]

    def score(self, answers: Sequence[Any], data: SummaryData) -> SummaryScores:
        """Returns ROUGE, the best over the right texts of each row."""
        return summary_scores([answer["answer"] for answer in answers], data.references)

    def headline(self, scores: SummaryScores) -> float:
        """Returns ROUGE-L."""
        return scores.rougeL
