"""Recurrent networks that answer once for a sequence; `GRU` and `LSTM` name their cells."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.tokens import check_tokens
from jrecipe.types import TaskError


class Recurrent(nn.Module):
    """Embeds tokens, runs a cell over the sequence, answers from its last or its mean state.

    Padding never reaches the answer, wherever in a row it stands: the state passes it unchanged.

    Attributes:
      outputs: outputs per example, as the number of classes.
      vocabulary: number of token ids, for inputs int[b, t]; None for sequences float[b, t, d].
      width: of the state.
      embedding: width of an embedded token.
      pool: "last", the state after the last token that is no padding; "mean", of the states after
        each such token.
      pad: token id that is padding; None if there is none, or lengths are given.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.
    """

    cell: ClassVar[Any]  # a `nn.RNNCellBase`

    outputs: int
    vocabulary: int | None = None
    width: int = 128
    embedding: int = 64
    pool: Literal["last", "mean"] = "last"
    pad: int | None = None
    dropout: float = 0.0
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs].

        Args:
          inputs: token ids int[b, t] in 0..vocabulary-1 (an id outside gives NaN) or, without a
            vocabulary, numbers [b, t, d]; or a pair of these and lengths int[b], beyond which a row
            is padding.
          train: switches dropout on.

        Raises:
          TaskError: if the inputs are something else, or `pool` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: Any, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, width]; 0 for a row that is all padding."""
        if self.pool not in ("last", "mean"):
            name = type(self).__name__
            raise TaskError(f"{name}.pool needs 'last' or 'mean', got {self.pool!r}.")
        x, valid = self._read(inputs)

        def step(cell: Any, state: Any, given: tuple[jax.Array, jax.Array]) -> tuple[Any, Any]:
            x, valid = given
            after, output = cell(state, x)
            after = jax.tree.map(lambda a, b: jnp.where(valid[:, None], a, b), after, state)
            return after, output

        scan = nn.scan(
            step, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1
        )
        cell = self.cell(self.width, dtype=self.dtype, name="cell")
        start = cell.initialize_carry(jax.random.key(0), x[:, 0].shape)
        start = jax.tree.map(lambda leaf: leaf.astype(self.dtype), start)
        state, outputs = scan(cell, start, (x, valid))
        if self.pool == "last":
            x = jax.tree.leaves(state)[-1]  # of an LSTM's pair the second is its output
        else:
            count = jnp.maximum(valid.sum(axis=1, keepdims=True), 1).astype(self.dtype)
            x = jnp.where(valid[:, :, None], outputs, 0).sum(axis=1) / count
        return Dropout(self.dropout, deterministic=not train)(x)

    def _read(self, inputs: Any) -> tuple[jax.Array, jax.Array]:
        """Returns vectors [b, t, d], and bool[b, t], which of them are no padding."""
        name, lengths = type(self).__name__, None
        if isinstance(inputs, tuple | list) and len(inputs) == 2:
            inputs, lengths = inputs
        if not hasattr(inputs, "shape"):
            raise TaskError(
                f"{name} needs an array or a pair (sequence, length int[b]), got "
                f"{type(inputs).__name__}; give the one or the other."
            )
        if self.vocabulary is not None:
            check_tokens(inputs, name)
            embed = nn.Embed(self.vocabulary, self.embedding, dtype=self.dtype, name="tokens")
            x = embed(inputs)
        elif inputs.ndim == 3:
            x = inputs.astype(self.dtype)
        else:
            raise TaskError(
                f"{name} without vocabulary needs sequences [b, t, d], got "
                f"{inputs.dtype}{list(inputs.shape)}; for token ids give vocabulary=, for one "
                "number a step add an axis with x[..., None]."
            )
        if lengths is not None:
            if lengths.shape != x.shape[:1]:
                raise TaskError(
                    f"{name} needs one length per sequence, int[{x.shape[0]}], got "
                    f"{lengths.dtype}{list(lengths.shape)}."
                )
            return x, jnp.arange(x.shape[1])[None] < lengths[:, None]
        if self.pad is not None and self.vocabulary is not None:
            return x, inputs != self.pad
        return x, jnp.ones(x.shape[:2], bool)
