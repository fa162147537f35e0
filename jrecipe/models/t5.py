"""T5, an encoder-decoder for text to text (J5, J6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.cache import Cache
from jrecipe.models.dropout import Dropout
from jrecipe.models.pointer import Pointer, Source
from jrecipe.models.relative_positions import RelativePositions
from jrecipe.models.t5_layer import KeysValues, Layer, LayerSizes, causal, norm
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

    def reads(self, states: jax.Array) -> list[KeysValues]:
        return [layer.reads(states) for layer in self._layers()]

    def step(
        self,
        x: jax.Array,
        position: jax.Array,
        own: list[KeysValues],
        reads: list[KeysValues],
        *,
        states_mask: jax.Array,
    ) -> tuple[jax.Array, list[KeysValues]]:
        length = own[0][0].shape[2]
        bias = self.positions.row(position, length)
        mask = (jnp.arange(length) <= position)[None, None, None]
        kept = []
        for layer, before, read in zip(self._layers(), own, reads, strict=True):
            x, after = layer.step(
                x, before, read, position, bias=bias, mask=mask, states_mask=states_mask
            )
            kept.append(after)
        return self.norm(x), kept


class _Read(NamedTuple):
    """What the encoder made of its tokens: [b, t, width], bool[b, 1, 1, t], and to copy from."""

    states: jax.Array
    mask: jax.Array
    source: Source | None


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
      copies: also write by copying tokens of what was read (see `jrecipe.models.pointer.Pointer`),
        which no public weights know: it is for networks that are trained from scratch on few texts.
        The logits are log-probabilities then.
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
    copies: bool = False
    scaled: bool | None = None
    buckets: int = 32
    farthest: int = 128
    dropout: float = 0.1
    epsilon: float = 1e-6
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Makes the embedding, the stacks, the pointer if it copies, the last layer if not tied."""
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
        if self.copies:
            self.pointer = Pointer(self.width, self.dtype)
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
        return self.decode(inputs, self.encode(inputs, train=train), train=train)

    def features(self, inputs: Mapping[str, jax.Array], *, train: bool = False) -> jax.Array:
        """Returns the decoder's states [b, s, width], from which come the logits."""
        return self._decoded(inputs, self._read(inputs, self.encode(inputs, train=train)), train)

    def encode(self, inputs: Mapping[str, jax.Array], *, train: bool = False) -> jax.Array:
        """Returns what the encoder makes of "ids" and "mask": [b, t, width]."""
        ids, mask = _pick(inputs, "ids"), _pick(inputs, "mask")
        check_tokens(ids, "T5")
        return self.encoder(self.shared(ids), _over_keys(mask), train=train)

    def decode(
        self, inputs: Mapping[str, jax.Array], states: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Returns logits float32[b, s, vocabulary].

        Args:
          inputs: as for the whole.
          states: of the encoder, [b, t, width].
          train: switches dropout on.
        """
        read = self._read(inputs, states)
        return self._logits(self._decoded(inputs, read, train), read.source)

    def begin(self, inputs: Mapping[str, jax.Array], beams: int, length: int) -> Cache:
        """Reads the inputs, and makes room for `length` tokens of `beams` continuations of each.

        Keys and values of what was read are computed here once, and kept once for all beams.
        """
        read = self._read(inputs, self.encode(inputs))
        shape = (len(read.states), beams, length, self.heads, self.head_width)
        seen = self.decoder.reads(read.states)
        own = [(jnp.zeros(shape, self.dtype), jnp.zeros(shape, self.dtype)) for _ in seen]
        return Cache(own, (seen, read.mask, read.source))

    def step(self, tokens: jax.Array, position: jax.Array, cache: Cache) -> tuple[jax.Array, Cache]:
        """Returns logits float32[b, beams, vocabulary] of the next token, and the new cache.

        Args:
          tokens: int32[b, beams], those at `position`; the start token at 0.
          position: int32[], 0, 1, 2, ..., one call each.
          cache: as `begin`, or the last step, returned it.
        """
        seen, mask, source = cache.shared
        x, own = self.decoder.step(
            self._embedded(tokens, source), position, cache.own, seen, states_mask=mask
        )
        return self._logits(x, source), cache._replace(own=own)

    def _read(self, inputs: Mapping[str, jax.Array], states: jax.Array) -> _Read:
        mask = _pick(inputs, "mask")
        source = self.pointer.source(_pick(inputs, "ids"), mask, states) if self.copies else None
        return _Read(states, _over_keys(mask), source)

    def _embedded(self, tokens: jax.Array, source: Source | None) -> jax.Array:
        x = self.shared(tokens)
        return x if source is None else x + self.pointer.following(tokens, source)

    def _decoded(self, inputs: Mapping[str, jax.Array], read: _Read, train: bool) -> jax.Array:
        ids = _pick(inputs, "decoder_ids")
        check_tokens(ids, "T5's decoder")
        x = self._embedded(ids, read.source)
        # No mask of padded decoder tokens: a row that could look nowhere would look everywhere.
        allowed = causal(ids.shape[1])
        return self.decoder(x, allowed, states=read.states, states_mask=read.mask, train=train)

    def _logits(self, x: jax.Array, source: Source | None) -> jax.Array:
        x = x.astype(jnp.float32)
        y = x * self.width**-0.5 if (self.tied if self.scaled is None else self.scaled) else x
        logits = y @ self.shared.embedding.T if self.tied else self.head(y)
        return logits if source is None else self.pointer(logits, x, source)


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
