"""Where in a text an answer starts and ends (J5)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pooling import text_part

MASKED = -1e9  # a logit of padding: no chance in float32, and still finite in a mean


class SpanFinder(nn.Module):
    """An encoder and two scores for each token: the answer starts here, it ends here.

    The loss is `jr.losses.span_cross_entropy()`. Parameters are `encoder/...` and `head/...`.

    Attributes:
      encoder: module with `features(inputs, train=) -> [b, t, d]`, such as `jr.models.Bert`.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      head_init: initialisation of the last layer, see `head.Head`.
    """

    encoder: Any
    dropout: float = 0.1
    head_init: HeadInit = "zeros"

    def setup(self) -> None:
        """Makes the last layer."""
        self.head = Head(2, self.head_init)
        self.drop = Dropout(self.dropout)

    def __call__(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns logits of start and end, float32[b, t, 2], -1e9 at padding.

        Args:
          inputs: what the encoder takes, a dict with "mask" bool[b, t] among it.
          train: switches dropout on.

        Raises:
          TaskError: if there is no mask.
        """
        mask = text_part(inputs, "mask", "SpanFinder").astype(bool)
        logits = self.head(self.features(inputs, train=train))
        return jnp.where(mask[:, :, None], logits, MASKED)

    def features(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, t, d]; called as `__call__` is."""
        return self.drop(self.encoder.features(inputs, train=train), deterministic=not train)
