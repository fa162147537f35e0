"""Copying from what was read: a pointer beside the vocabulary (J5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

_LEAST = 1e-30  # probability of what cannot be copied, above the float32s whose logarithm is -inf


class Source(NamedTuple):
    """What a pointer needs of the tokens that were read.

    Attributes:
      ids: int32[b, t].
      mask: bool[b, t], True on real tokens.
      keys: [b, t, width], by which each is found.
      followers: [b, t, width], what the encoder made of the token behind each; 0 behind the last.
    """

    ids: jax.Array
    mask: jax.Array
    keys: jax.Array
    followers: jax.Array


class Pointer(nn.Module):
    """Mixes the vocabulary's probabilities with those of copying each token that was read.

    It attends from the decoder's states to the encoder's, and a gate says how much of the
    probability goes to the tokens that are pointed at. So that the decoder knows where it is in the
    text, `following` tells it what stood there behind the token that it wrote last; where that
    token stood more than once, the mean. In the one trial without it, a small network that learned
    from some thousand headlines wrote far worse ones (docs/finetune.md).

    Attributes:
      width: of the tokens.
      dtype: of keys and followers; probabilities are float32.

    References:
      See et al., "Get To The Point: Summarization with Pointer-Generator Networks", 2017,
      arXiv:1704.04368.
      Gu et al., "Incorporating Copying Mechanism in Sequence-to-Sequence Learning", 2016,
      arXiv:1603.06393 (section 3.3, "selective read", which takes the token itself).
    """

    width: int
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Makes the projections and the gate."""
        self.query = nn.Dense(self.width, use_bias=False, dtype=self.dtype)
        self.key = nn.Dense(self.width, use_bias=False, dtype=self.dtype)
        self.follower = nn.Dense(self.width, use_bias=False, dtype=self.dtype)
        self.gate = nn.Dense(1, dtype=jnp.float32, kernel_init=nn.initializers.zeros)

    def source(self, ids: jax.Array, mask: jax.Array, states: jax.Array) -> Source:
        """Returns what is needed of the encoder's `states` [b, t, width] of its tokens."""
        mask = mask.astype(bool)
        behind = jnp.where(mask[..., None], states, 0.0)[:, 1:]
        followers = self.follower(jnp.pad(behind, ((0, 0), (0, 1), (0, 0))))
        return Source(ids, mask, self.key(states), followers)

    def following(self, tokens: jax.Array, source: Source) -> jax.Array:
        """Returns [b, s, width] of what was read behind each of `tokens` int32[b, s]; 0 if none."""
        same = (tokens[:, :, None] == source.ids[:, None]) & source.mask[:, None]
        count = jnp.maximum(jnp.sum(same, axis=-1, keepdims=True), 1)
        share = same.astype(source.followers.dtype) / count.astype(source.followers.dtype)
        return jnp.einsum("bst,btd->bsd", share, source.followers)

    def __call__(self, logits: jax.Array, x: jax.Array, source: Source) -> jax.Array:
        """Returns log-probabilities float32[b, s, vocabulary].

        Args:
          logits: of the vocabulary, float32[b, s, vocabulary].
          x: the decoder's states [b, s, width].
          source: as `source` returned it.
        """
        scores = jnp.einsum(
            "bsd,btd->bst", self.query(x), source.keys, preferred_element_type=jnp.float32
        )
        scores = jnp.where(source.mask[:, None], scores * self.width**-0.5, -1e9)
        rows, places = jnp.ogrid[: logits.shape[0], : logits.shape[1]]
        at = (rows[..., None], places[..., None], source.ids[:, None])
        pointed = jnp.zeros_like(logits).at[at].add(jax.nn.softmax(scores))
        gate = self.gate(x)
        written = jax.nn.log_softmax(logits) + jax.nn.log_sigmoid(gate)
        copied = jnp.log(jnp.maximum(pointed, _LEAST)) + jax.nn.log_sigmoid(-gate)
        return jnp.logaddexp(written, copied)
