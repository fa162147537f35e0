"""One answer for a text, or for a pair of texts in one sequence: classes or a number (J5)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pooling import Pool, pool_tokens, text_part


class TextClassifier(nn.Module):
    """An encoder, its tokens pooled, and a linear head.

    With `outputs=1, squeeze=True` it predicts a number, as the similarity of two texts that stand
    in one sequence. Parameters are `encoder/...` and `head/...`.

    Attributes:
      encoder: module with `features(inputs, train=) -> [b, t, d]`, such as `jr.models.Bert`.
      outputs: outputs per text, as the number of classes.
      pool: "cls", the first token, or "mean", of all real tokens.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1].

    References:
      Devlin et al., "BERT", 2018, arXiv:1810.04805.
    """

    encoder: Any
    outputs: int
    pool: Pool = "cls"
    dropout: float = 0.1
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.head = Head(self.outputs, self.head_init, self.squeeze)
        self.drop = Dropout(self.dropout)

    def __call__(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs], or float32[b] with `squeeze`.

        Args:
          inputs: what the encoder takes, a dict with "mask" bool[b, t] among it.
          train: switches dropout on.

        Raises:
          TaskError: if there is no mask, or `pool` is unknown.
        """
        return self.head(self.features(inputs, train=train))

    def features(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, d]; called as `__call__` is."""
        mask = text_part(inputs, "mask", "TextClassifier")
        pooled = pool_tokens(self.encoder.features(inputs, train=train), mask, self.pool)
        return self.drop(pooled, deterministic=not train)
