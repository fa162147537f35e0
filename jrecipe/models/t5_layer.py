"""The layers that T5's encoder and decoder are made of."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout

KeysValues = tuple[jax.Array, jax.Array]  # both [b, t, heads, head_width]


@dataclasses.dataclass(frozen=True)
class LayerSizes:
    """What all layers of a T5 have in common; see `t5.T5` for each."""

    width: int
    heads: int
    head_width: int
    hidden: int
    gated: bool
    dropout: float
    epsilon: float
    dtype: Any


class Attention(nn.Module):
    """Multi-head attention without biases and without a scale: the initialisation holds it.

    Attributes:
      sizes: of the layer.
    """

    sizes: LayerSizes

    def setup(self) -> None:
        """Makes the four projections."""
        s = self.sizes
        inner = s.heads * s.head_width
        self.query = _dense(inner, (s.width * s.head_width) ** -0.5, s.dtype)
        self.key = _dense(inner, s.width**-0.5, s.dtype)
        self.value = _dense(inner, s.width**-0.5, s.dtype)
        self.out = _dense(s.width, inner**-0.5, s.dtype)

    def keys_values(self, states: jax.Array) -> KeysValues:
        """Returns what queries look at, from states [b, t, width]."""
        return self._split(self.key(states)), self._split(self.value(states))

    def __call__(
        self,
        x: jax.Array,
        looked_at: KeysValues,
        *,
        bias: jax.Array | None = None,
        mask: jax.Array | None = None,
    ) -> jax.Array:
        """Returns [b, s, width] for queries from `x` [b, s, width].

        Args:
          x: where the queries come from.
          looked_at: keys and values.
          bias: added to the products of queries and keys, broadcasts to [b, heads, s, t].
          mask: True where a query may look, broadcasts likewise.
        """
        query = self._split(self.query(x))
        keys, values = looked_at
        found = jax.nn.dot_product_attention(query, keys, values, bias, mask, scale=1.0)
        return self.out(found.reshape(*x.shape[:2], -1))

    def each(
        self, x: jax.Array, looked_at: KeysValues, *, bias: jax.Array, mask: jax.Array
    ) -> jax.Array:
        """Returns [b, k, width]: each of k continuations looks at its own keys [b, k, t, ...]."""
        flat = x.reshape(-1, 1, x.shape[-1])
        keys, values = (a.reshape(-1, *a.shape[2:]) for a in looked_at)
        return self(flat, (keys, values), bias=bias, mask=mask).reshape(x.shape)

    def _split(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], self.sizes.heads, self.sizes.head_width)


class FeedForward(nn.Module):
    """Two layers with a ReLU between them, or three with a gate by GELU.

    Attributes:
      sizes: of the layer.

    References:
      Shazeer, "GLU Variants Improve Transformer", 2020, arXiv:2002.05202.
    """

    sizes: LayerSizes

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns [b, t, width] from [b, t, width]."""
        s = self.sizes

        def layer(units: int, name: str) -> nn.Dense:
            return _dense(units, x.shape[-1] ** -0.5, s.dtype, name)

        if s.gated:
            y = nn.gelu(layer(s.hidden, "gate")(x), approximate=True)
            y = y * layer(s.hidden, "linear")(x)
        else:
            y = nn.relu(layer(s.hidden, "hidden")(x))
        y = Dropout(s.dropout, deterministic=not train)(y)
        return _dense(s.width, s.hidden**-0.5, s.dtype, "out")(y)


class Layer(nn.Module):
    """Attention, in a decoder also to what the encoder read, and a feed-forward layer.

    Each sees the RMS norm of `x` and adds to `x`.

    Attributes:
      sizes: of the layer.
      decodes: True in a decoder.

    References:
      Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019, arXiv:1910.07467.
    """

    sizes: LayerSizes
    decodes: bool = False

    def setup(self) -> None:
        """Makes its parts."""
        s = self.sizes
        self.attention_norm = norm(s)
        self.attention = Attention(s)
        if self.decodes:
            self.cross_norm = norm(s)
            self.cross = Attention(s)
        self.mlp_norm = norm(s)
        self.mlp = FeedForward(s)
        self.drop = Dropout(s.dropout)

    def __call__(
        self,
        x: jax.Array,
        *,
        bias: jax.Array,
        mask: jax.Array,
        states: jax.Array | None = None,
        states_mask: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """Returns [b, t, width] from [b, t, width].

        Args:
          x: the tokens.
          bias: of the attention among them, float32[1, heads, t, t].
          mask: True where they may look, broadcasts to [b, heads, t, t].
          states: what the encoder made of its tokens, for a decoder.
          states_mask: where those may be looked at.
          train: switches dropout on.
        """
        y = self.attention_norm(x)
        y = self.attention(y, self.attention.keys_values(y), bias=bias, mask=mask)
        x = x + self.drop(y, deterministic=not train)
        if states is not None:
            y = self.cross(self.cross_norm(x), self.cross.keys_values(states), mask=states_mask)
            x = x + self.drop(y, deterministic=not train)
        y = self.mlp(self.mlp_norm(x), train=train)
        return x + self.drop(y, deterministic=not train)

    def reads(self, states: jax.Array) -> KeysValues:
        """Returns what all continuations of an example look at, from the encoder's states."""
        return self.cross.keys_values(states)

    def step(
        self,
        x: jax.Array,
        own: KeysValues,
        read: KeysValues,
        position: jax.Array,
        *,
        bias: jax.Array,
        mask: jax.Array,
        states_mask: jax.Array,
    ) -> tuple[jax.Array, KeysValues]:
        """Returns one token's `x` [b, k, width] for each of k continuations, and the new `own`.

        Args:
          x: the tokens at `position`.
          own: keys and values [b, k, length, heads, head_width] of the tokens before it.
          read: of the encoder's states, as `reads` gave them.
          position: int32[].
          bias: float32[1, heads, 1, length].
          mask: bool[1, 1, 1, length].
          states_mask: bool[b, 1, 1, t].
        """
        y = self.attention_norm(x)
        key, value = (
            jax.lax.dynamic_update_slice_in_dim(kept, new[:, :, None], position, axis=2)
            for kept, new in zip(own, self.attention.keys_values(y), strict=True)
        )
        x = x + self.attention.each(y, (key, value), bias=bias, mask=mask)
        # The continuations are so many queries here: nothing of the encoder's is copied for each.
        x = x + self.cross(self.cross_norm(x), read, mask=states_mask)
        return x + self.mlp(self.mlp_norm(x)), (key, value)


def norm(sizes: LayerSizes) -> nn.RMSNorm:
    """Returns T5's norm: divided by the root mean square, nothing subtracted, no bias."""
    return nn.RMSNorm(epsilon=sizes.epsilon, dtype=sizes.dtype)


def _dense(units: int, deviation: float, dtype: Any, name: str | None = None) -> nn.Dense:
    init = nn.initializers.normal(deviation)
    return nn.Dense(units, use_bias=False, dtype=dtype, kernel_init=init, name=name)


def causal(length: int) -> jax.Array:
    """Returns bool[1, 1, length, length], True where a position may look."""
    return jnp.tril(jnp.ones((length, length), bool))[None, None]
