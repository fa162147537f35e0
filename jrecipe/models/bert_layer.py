"""The post-norm transformer block that `Bert` is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jrecipe.models.dropout import Dropout
from jrecipe.models.unpadded import Grid
from jrecipe.types import TaskError

# By their names in public configurations; "gelu" is by the error function, "gelu_new" by tanh.
ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": functools.partial(jax.nn.gelu, approximate=False),
    "gelu_new": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
}


class BertLayer(nn.Module):
    """`x = norm(x + attention(x))`, then `x = norm(x + mlp(x))`.

    Attributes:
      width: of the tokens, a multiple of `heads`.
      heads: of the attention.
      hidden: units between the two layers of the MLP.
      activation: of the MLP, a name in `ACTIVATIONS`.
      epsilon: of the norms.
      dropout: chance that a number that is added to `x` is dropped in training, in [0, 1).
      dtype: of the computation.

    References:
      Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
    """

    width: int
    heads: int
    hidden: int
    activation: str
    epsilon: float
    dropout: Any
    dtype: Any

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array, grid: Grid, *, train: bool = False
    ) -> jax.Array:
        """Returns [n, width]; what `mask` bool[b, t] leaves out is seen by no position.

        Args:
          x: [n, width], a row for each token.
          mask: of the texts.
          grid: where the rows stand in them.
          train: switches dropout on.

        Raises:
          TaskError: if `heads` does not divide `width`, or `activation` is unknown.
        """
        if self.heads < 1 or self.width % self.heads:
            raise TaskError(
                f"Bert.heads={self.heads} does not divide width={self.width}; give "
                f"heads={max(1, self.width // 64)}."
            )
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise TaskError(f"Bert.activation needs one of {known}, got {self.activation!r}.")
        drop = Dropout(self.dropout, deterministic=not train)

        def dense(units: int, name: str) -> nn.Dense:
            init = nn.initializers.normal(0.02)
            return nn.Dense(units, dtype=self.dtype, kernel_init=init, name=name)

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name=name)

        # All but attention sees one row per token. Also where no padding is left out: XLA's CPU
        # backend takes half as long for the gradients of products of matrices as for those of the
        # same numbers in three axes.
        by_head = (x.shape[0], self.heads, self.width // self.heads)
        query, key, value = (
            grid.square(dense(self.width, name)(x).reshape(by_head))
            for name in ("query", "key", "value")
        )
        seen = mask[:, None, None, :]  # over heads and over the positions that look
        y = jax.nn.dot_product_attention(query, key, value, mask=seen)
        y = grid.flat(y).reshape(x.shape)
        x = norm("attention_norm")(x + drop(dense(self.width, "attention_output")(y)))
        y = ACTIVATIONS[self.activation](dense(self.hidden, "hidden")(x))
        return norm("norm")(x + drop(dense(self.width, "output")(y)))
