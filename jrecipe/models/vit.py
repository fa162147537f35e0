"""The vision transformer, for pictures and much data (C1)."""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import check_pictures
from jrecipe.models.transformer import Block
from jrecipe.types import TaskError


class ViT(nn.Module):
    """Patches as tokens, learned positions, pre-norm transformer blocks; Ti/16 by default.

    ViT-Ti is `ViT(outputs)`, ViT-S `ViT(outputs, width=384, heads=6)`. With less than some hundred
    thousand pictures a ResNet is the plainer choice: a transformer has to learn what a convolution
    knows.

    Attributes:
      outputs: outputs per example, as the number of classes.
      patch_size: pixels of a patch's side; 4 suits pictures of 32.
      width: of the tokens.
      depth: blocks.
      heads: of the attention.
      head: "token" reads the answer from a token of its own, as in the paper; "gap" from the mean
        of the others.
      dropout: chance that a number is dropped in training after each layer, in [0, 1) (D9).
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.

    References:
      Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, arXiv:2010.11929.
      Touvron et al., "Training data-efficient image transformers", 2021, arXiv:2012.12877 (Ti).
      Beyer et al., "Better plain ViT baselines for ImageNet-1k", 2022, arXiv:2205.01580 ("gap").
    """

    outputs: int
    patch_size: int = 16
    width: int = 192
    depth: int = 12
    heads: int = 3
    head: Literal["token", "gap"] = "token"
    dropout: float = 0.0
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c], always of the same size.

        Args:
          inputs: numbers of any dtype, best of mean 0 and standard deviation 1.
          train: switches dropout on.

        Raises:
          TaskError: if the inputs are not pictures, cannot be cut into patches, or `head` is
            unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, width]; called as `__call__` is."""
        check_pictures(inputs, "ViT")
        if self.head not in ("token", "gap"):
            raise TaskError(f"ViT.head needs 'token' or 'gap', got {self.head!r}.")
        x = _patches(inputs.astype(self.dtype), self.patch_size)
        first = nn.initializers.lecun_normal()
        x = nn.Dense(self.width, dtype=self.dtype, kernel_init=first, name="patches")(x)
        batch, count, width = x.shape
        if self.head == "token":
            token = self.param("token", nn.initializers.zeros_init(), (1, 1, width))
            token = jnp.broadcast_to(token.astype(self.dtype), (batch, 1, width))
            x, count = jnp.concatenate([token, x], axis=1), count + 1
        places = self.param("positions", nn.initializers.normal(0.02), (1, count, width))
        x = Dropout(self.dropout, deterministic=not train)(x + places.astype(self.dtype))
        for i in range(self.depth):
            block = Block(self.heads, dropout=self.dropout, dtype=self.dtype, name=f"block{i}")
            x = block(x, train=train)
        x = nn.LayerNorm(dtype=self.dtype, name="norm")(x)
        return x[:, 0] if self.head == "token" else x.mean(axis=1)


def _patches(x: jax.Array, size: int) -> jax.Array:
    """Returns the patches of pictures [b, h, w, c] as vectors, [b, n, size * size * c]."""
    batch, height, width, channels = x.shape
    if size < 1 or height % size or width % size:
        raise TaskError(
            f"ViT.patch_size is {size}, which does not divide pictures of {height}x{width}; give "
            "another, or crop or resize the pictures."
        )
    x = x.reshape(batch, height // size, size, width // size, size, channels)
    return x.swapaxes(2, 3).reshape(batch, -1, size * size * channels)
