"""A tag for every word of a text, as for named entities (J5)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax

from jrecipe.models.chain_head import ChainHead
from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pooling import pick_words, text_part


class Tagger(nn.Module):
    """An encoder, the first token of each word, and a head: softmax or a linear-chain CRF.

    Losses are `jr.losses.token_cross_entropy(pad=-1)` and, for `crf=True`, `jr.losses.crf()`.
    Parameters are `encoder/...` and `head/...`.

    Attributes:
      encoder: module with `features(inputs, train=) -> [b, t, d]`, such as `jr.models.Bert`.
      outputs: number of tags, k.
      crf: score whole sequences of tags; the transitions learn best with a higher learning rate
        than the encoder.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      head_init: initialisation of the last layer, see `head.Head`.
    """

    encoder: Any
    outputs: int
    crf: bool = False
    dropout: float = 0.1
    head_init: HeadInit = "zeros"

    def setup(self) -> None:
        """Makes the last layer."""
        kind: Any = ChainHead if self.crf else Head
        self.head = kind(self.outputs, self.head_init)
        self.drop = Dropout(self.dropout)

    def __call__(self, inputs: Any, *, train: bool = False) -> Any:
        """Returns logits float32[b, w, k]; with `crf` the dict that `jr.losses.crf` describes.

        Args:
          inputs: what the encoder takes, and "words" int[b, w], the position of the first token of
            each word, -1 for padding, which stands at the end.
          train: switches dropout on.

        Raises:
          TaskError: if there are no words, or they do not fit.
        """
        features = self.features(inputs, train=train)
        if self.crf:
            return self.head(features, inputs["words"] >= 0)
        return self.head(features)

    def features(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, w, d]; called as `__call__` is."""
        words = text_part(inputs, "words", "Tagger")
        picked = pick_words(self.encoder.features(inputs, train=train), words)
        return self.drop(picked, deterministic=not train)
