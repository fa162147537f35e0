"""How alike two texts are, each encoded by itself (J5)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.pooling import Pool, pool_tokens, text_part


class PairSimilarity(nn.Module):
    """One encoder for two texts, and the cosine of their vectors.

    It has no head to learn: before any fine-tuning it answers what the encoder knows, and its
    vectors (`embed`) can be stored and searched. Targets are in [-1, 1], so scores of 0 to 5 are
    divided by 5, and the loss is `jr.losses.l2()`. Parameters are `encoder/...`.

    Attributes:
      encoder: module with `features(inputs, train=) -> [b, t, d]`, such as `jr.models.Bert`.
      pool: "mean", of the real tokens, or "cls", the first token.

    References:
      Reimers and Gurevych, "Sentence-BERT", 2019, arXiv:1908.10084.
    """

    encoder: Any
    pool: Pool = "mean"

    def __call__(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns the cosine float32[b] in [-1, 1]; 0 where a vector is 0.

        Args:
          inputs: `{"first": ..., "second": ...}`, each what the encoder takes, a dict with "mask"
            bool[b, t] among it. The two may have different lengths.
          train: switches dropout on.

        Raises:
          TaskError: if one of them is missing, or has no mask.
        """
        first, second = self.features(inputs, train=train)
        return jnp.sum(first * second, axis=-1)

    def features(self, inputs: Any, *, train: bool = False) -> tuple[jax.Array, jax.Array]:
        """Returns the vectors of both texts, float32[b, d] of length 1; called as `__call__` is."""
        first, second = (text_part(inputs, side, "PairSimilarity") for side in ("first", "second"))
        return self.embed(first, train=train), self.embed(second, train=train)

    def embed(self, text: Any, *, train: bool = False) -> jax.Array:
        """Returns the vectors of texts, float32[b, d] of length 1, or 0 for a text of no tokens."""
        mask = text_part(text, "mask", "PairSimilarity")
        pooled = pool_tokens(self.encoder.features(text, train=train), mask, self.pool)
        pooled = pooled.astype(jnp.float32)
        square = jnp.sum(jnp.square(pooled), axis=-1, keepdims=True)
        # The least square keeps the gradient of a vector of zeros finite.
        return pooled * jax.lax.rsqrt(jnp.maximum(square, 1e-24))
