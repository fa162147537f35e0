"""T5, an encoder-decoder for text to text (J5, J6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.cache import Cache
from jrecipe.models.dropout import Dropout
from jrecipe.models.relative_positions import RelativePositions
from jrecipe.models.t5_layer import Layer, LayerSizes, causal, norm
from jrecipe.models.tokens import check_tokens
from jrecipe.types import TaskError


class _Stack(nn.Module):
    """The layers of an encoder or a decoder, the positions they share, and the last norm."""

    sizes: LayerSizes
    depth: int
    decodes: bool
    buckets: int
    farthest: int

    def setup(self) -> None:
        s = self.sizes
        self.positions = RelativePositions(
            s.heads, self.decodes, self.buckets, self.farthest, s.width
        )
        for i in range(self.depth):
            setattr(self, f"layer_{i}", Layer(s, self.decodes))
        self.norm = norm(s)
        self.drop = Dropout(s.dropout)

    def _layers(self) -> list[Layer]:
        return [getattr(self, f"layer_{i}") for i in range(self.depth)]

    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array,
        *,
        states: jax.Array | None = None,
        states_mask: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        x = self.drop(x, deterministic=not train)
        bias = self.positions(x.shape[1])
        for layer in self._layers():
            x = layer(x, bias=bias, mask=mask, states=states, states_mask=states_mask, train=train)
        return self.drop(self.norm(x), deterministic=not train)

    def reads(self, states: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        return [layer.reads(states) for layer in self._layers()]

    def step(self, x: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        length = cache.own[0][0].shape[2]
        bias = self.positions.row(position, length)
        mask = (jnp.arange(length) <= position)[None, None, None]
        reads, states_mask = cache.shared
        kept = []
        for layer, own, read in zip(self._layers(), cache.own, reads, strict=True):
            x, own = layer.step(
                x, own, read, position, bias=bias, mask=mask, states_mask=states_mask
            )
            kept.append(own)
        return self.norm(x), cache._replace(own=kept)


class T5(nn.Module):
    """Reads tokens with an encoder and gives logits of the next token with a decoder.

    | weights | fields |
    | --- | --- |
    | T5 1.0 | `tied=True, gated=False` (as they are) |
    | T5 1.1, FLAN-T5, mT5 | `tied=False, gated=True` |

    T5-small is `T5(32128)`. `jrecipe.finetune.greedy` and `beam_search` write with it, by `begin`
    and `step`. Unlike the original, attention's own weights are not dropped out in training.

    Attributes:
      vocabulary: number of tokens, padding and unused ones included.
      width: of the tokens, "d_model".
      depth: layers of the encoder.
      decoder_depth: layers of the decoder; None for `depth`.
      heads: of each attention.
      head_width: of each head, "d_kv"; `heads * head_width` need not be `width`.
      hidden: units of the feed-forward layers, "d_ff".
      gated: feed-forward with a gate by GELU instead of a plain ReLU.
      tied: use the embedding as the last layer; otherwise it is a layer "head", which starts at 0
        (B4).
      scaled: multiply what the last layer sees by `width ** -0.5`; None to do so if `tied`.
      buckets: of relative positions, at least 4.
      farthest: distance in tokens from which on positions are not told apart.
      dropout: chance that a number is dropped in training, in [0, 1) (H3).
      epsilon: of the norms.
      dtype: of the computation before the last layer; parameters and outputs stay float32.

    References:
      Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
      Transformer", 2020, arXiv:1910.10683.

    Example:
      >>> net = T5(50, width=16, depth=1, heads=2, head_width=8, hidden=32)
      >>> ids = jnp.ones((3, 7), jnp.int32)
      >>> inputs = {"ids": ids, "mask": ids > 0, "decoder_ids": ids[:, :4]}
      >>> net.init_with_output(jax.random.key(0), inputs)[0].shape
      (3, 4, 50)
    """

    vocabulary: int
    width: int = 512
    depth: int = 6
    decoder_depth: int | None = None
    heads: int = 8
    head_width: int = 64
    hidden: int = 2048
    gated: bool = False
    tied: bool = True
    scaled: bool | None = None
    buckets: int = 32
    farthest: int = 128
    dropout: float = 0.1
    epsilon: float = 1e-6
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Makes the embedding, the two stacks and, unless tied, the last layer."""
        sizes = LayerSizes(
            self.width,
            self.heads,
            self.head_width,
            self.hidden,
            self.gated,
            self.dropout,
            self.epsilon,
            self.dtype,
        )
        init = nn.initializers.normal(1.0)
        self.shared = nn.Embed(self.vocabulary, self.width, dtype=self.dtype, embedding_init=init)
        self.encoder = _Stack(sizes, self.depth, False, self.buckets, self.farthest)
        depth = self.depth if self.decoder_depth is None else self.decoder_depth
        self.decoder = _Stack(sizes, depth, True, self.buckets, self.farthest)
        if not self.tied:
            zeros = nn.initializers.zeros
            self.head = nn.Dense(
                self.vocabulary, use_bias=False, dtype=jnp.float32, kernel_init=zeros
            )

    def __call__(self, inputs: Mapping[str, jax.Array], *, train: bool = False) -> jax.Array:
        """Returns logits float32[b, s, vocabulary]; those at s depend on `decoder_ids` 0..s only.

        Args:
          inputs: "ids" int32[b, t], "mask" bool[b, t], True on real tokens, and "decoder_ids"
            int32[b, s], the targets moved to the right by one, behind a start token. Padding of
            the latter stands on the right, where no real token looks: it needs no mask.
          train: switches dropout on.

        Raises:
          TaskError: if an input is missing, or ids are no token ids.
        """
        return self._logits(self.features(inputs, train=train))

    def features(self, inputs: Mapping[str, jax.Array], *, train: bool = False) -> jax.Array:
        """Returns the decoder's states [b, s, width], from which come the logits."""
        states = self.encode(inputs, train=train)
        return self._decoded(_pick(inputs, "decoder_ids"), states, _pick(inputs, "mask"), train)

    def encode(self, inputs: Mapping[str, jax.Array], *, train: bool = False) -> jax.Array:
        """Returns what the encoder makes of "ids" and "mask": [b, t, width]."""
        ids, mask = _pick(inputs, "ids"), _pick(inputs, "mask")
        check_tokens(ids, "T5")
        return self.encoder(self.shared(ids), _over_keys(mask), train=train)

    def decode(
        self, decoder_ids: jax.Array, states: jax.Array, mask: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Returns logits float32[b, s, vocabulary].

        Args:
          decoder_ids: int32[b, s], as in the inputs.
          states: of the encoder, [b, t, width].
          mask: of the encoder's tokens, bool[b, t].
          train: switches dropout on.
        """
        return self._logits(self._decoded(decoder_ids, states, mask, train))

    def begin(self, inputs: Mapping[str, jax.Array], beams: int, length: int) -> Cache:
        """Reads the inputs, and makes room for `length` tokens of `beams` continuations of each.

        Keys and values of what was read are computed here once, and kept once for all beams.
        """
        states = self.encode(inputs)
        shape = (states.shape[0], beams, length, self.heads, self.head_width)
        reads = self.decoder.reads(states)
        own = [(jnp.zeros(shape, self.dtype), jnp.zeros(shape, self.dtype)) for _ in reads]
        return Cache(own, (reads, _over_keys(_pick(inputs, "mask"))))

    def step(self, tokens: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Returns logits float32[b, beams, vocabulary] of the next token, and the new cache.

        Args:
          tokens: int32[b, beams], those at `position`; the start token at 0.
          position: int32[], 0, 1, 2, ..., one call each.
          cache: as `begin`, or the last step, returned it.
        """
        x, cache = self.decoder.step(self.shared(tokens), position, cache)
        return self._logits(x), cache

    def _decoded(
        self, ids: jax.Array, states: jax.Array, mask: jax.Array, train: bool
    ) -> jax.Array:
        check_tokens(ids, "T5's decoder")
        # No mask of padded decoder tokens: a row that could look nowhere would look everywhere.
        allowed = causal(ids.shape[1])
        return self.decoder(
            self.shared(ids), allowed, states=states, states_mask=_over_keys(mask), train=train
        )

    def _logits(self, x: jax.Array) -> jax.Array:
        x = x.astype(jnp.float32)
        if self.tied if self.scaled is None else self.scaled:
            x = x * self.width**-0.5
        return x @ self.shared.embedding.T if self.tied else self.head(x)


def _over_keys(mask: jax.Array) -> jax.Array:
    """Returns bool[b, 1, 1, t]."""
    return mask.astype(bool)[:, None, None, :]


def _pick(inputs: Mapping[str, jax.Array], name: str) -> jax.Array:
    if not isinstance(inputs, Mapping) or name not in inputs:
        got = ", ".join(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise TaskError(
            f"T5 needs inputs as a dict with 'ids', 'mask' and 'decoder_ids', got {got}; add "
            f"{name!r}."
        )
    return inputs[name]
