"""The pre-norm transformer block that `ViT` and `GPT` are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.types import TaskError


class Block(nn.Module):
    """`x + attention(norm(x))`, then `x + mlp(norm(x))`, the MLP four times as wide with GELU.

    Attributes:
      heads: of the attention; the width of the inputs is a multiple of it.
      causal: position t attends to 0..t only.
      dropout: chance that a number that is added to `x` is dropped in training, in [0, 1).
      epsilon: of the norms.
      approximate: GELU by tanh, as GPT-2 has it, not by the error function.
      kernel_init: of the dense layers.
      last_init: of the two that add to `x`; None for `kernel_init`.
      dtype: of the computation.

    References:
      Vaswani et al., "Attention Is All You Need", 2017, arXiv:1706.03762.
      Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020,
      arXiv:2002.04745 (pre-norm).
    """

    heads: int
    causal: bool = False
    dropout: float = 0.0
    epsilon: float = 1e-6
    approximate: bool = False
    kernel_init: Callable[..., Any] = nn.initializers.xavier_uniform()
    last_init: Callable[..., Any] | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns [b, t, d] from [b, t, d].

        Raises:
          TaskError: if d is no multiple of `heads`.
        """
        width = x.shape[-1]
        if self.heads < 1 or width % self.heads:
            raise TaskError(
                f"attention needs a width that is a multiple of its heads, got width {width} and "
                f"{self.heads} heads; try heads={max(1, width // 64)}."
            )

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(epsilon=self.epsilon, dtype=self.dtype, name=name)

        def dense(units: int, name: str, *, last: bool = False) -> nn.Dense:
            init = self.last_init if last and self.last_init is not None else self.kernel_init
            return nn.Dense(units, dtype=self.dtype, kernel_init=init, name=name)

        drop = Dropout(self.dropout, deterministic=not train)
        y = dense(3 * width, "qkv")(norm("norm0")(x))
        y = y.reshape(*x.shape[:2], 3, self.heads, width // self.heads)
        query, key, value = y[:, :, 0], y[:, :, 1], y[:, :, 2]
        y = jax.nn.dot_product_attention(query, key, value, is_causal=self.causal)
        x = x + drop(dense(width, "attended", last=True)(y.reshape(x.shape)))
        y = nn.gelu(dense(4 * width, "mlp0")(norm("norm1")(x)), approximate=self.approximate)
        return x + drop(dense(width, "mlp1", last=True)(y))
