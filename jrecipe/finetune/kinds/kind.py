"""What a kind of text task is: from rows of a file to a network, its loss, answers and score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import flax.linen as nn

from jrecipe.finetune.rows import TextRows
from jrecipe.finetune.text_data import TextData
from jrecipe.finetune.tokenizer import TextTokenizer
from jrecipe.losses import Loss
from jrecipe.types import PyTree


class Kind(Protocol):
    """A kind of text task (J5), with its options as fields of a frozen dataclass.

    Attributes:
      name: of the command line, as "classify".
      summary_of: what it does, one line.
      measure: name of the score that counts, higher is better, as "accuracy".
    """

    name: ClassVar[str]
    summary_of: ClassVar[str]
    measure: ClassVar[str]

    def read(
        self, rows: TextRows, tokenizer: TextTokenizer, labels: Sequence[str] | None = None
    ) -> TextData:
        """Returns rows as tokens and targets.

        Args:
          rows: of a file.
          tokenizer: of the encoder.
          labels: those of the training rows; None finds them.
        """

    def row_of(self, text: str) -> dict[str, Any]:
        """Returns one line that a person typed as a row; parts are separated by tabs."""

    def blank(self, row: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Returns a row with something in the place of the right answer, which is not known."""

    def example(self) -> PyTree:
        """Returns inputs of one row, for the shapes of the network's parameters."""

    def network(self, encoder: nn.Module, labels: Sequence[str]) -> nn.Module:
        """Returns the encoder with a head for these labels."""

    def loss(self, labels: Sequence[str]) -> Loss:
        """Returns what training lowers."""

    def run(
        self, network: nn.Module, params: PyTree, inputs: PyTree, labels: Sequence[str]
    ) -> PyTree:
        """Returns what answers are made of, leading axis b; it is compiled."""

    def answers(self, decided: Sequence[PyTree], data: Any, tokenizer: TextTokenizer) -> list[Any]:
        """Returns an answer for each row of the file, from what `run` gave for each example."""

    def score(self, answers: Sequence[Any], data: Any) -> Any:
        """Returns the scores of answers, which print themselves."""

    def headline(self, scores: Any) -> float:
        """Returns the score that counts, in [-1, 1], higher is better."""
