"""A small convolutional network for pictures (C1, D7)."""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import Pool, check_pictures, pooled


class ConvNet(nn.Module):
    """Stages of 3x3 convolutions with ReLU, max-pooling between them, then a linear head.

    The picture's size sets the number of stages: 2 at 8x8, 3 from 16x16 on. Each stage halves the
    sides and doubles the channels.

    Attributes:
      outputs: outputs per example, as the number of classes.
      width: channels of the first stage.
      depth: convolutions in each stage.
      head: "gap" averages over the picture before the last layer; "flatten" keeps places apart,
        with many more parameters.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      norm: BatchNorm after each convolution (D8).
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.
    """

    outputs: int
    width: int = 32
    depth: int = 2
    head: Pool = "gap"
    dropout: float = 0.0
    norm: bool = False
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c].

        Args:
          inputs: numbers of any dtype, best of mean 0 and standard deviation 1.
          train: switches dropout on, and BatchNorm to the statistics of the batch.

        Raises:
          TaskError: if the inputs are not pictures or `head` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, d]; called as `__call__` is."""
        check_pictures(inputs, "ConvNet")
        x = inputs.astype(self.dtype)
        for stage in range(self.stages(x.shape[1:])):
            if stage > 0:
                x = nn.max_pool(x, (2, 2), strides=(2, 2))
            for i in range(self.depth):
                x = nn.Conv(
                    self.width * 2**stage,
                    (3, 3),
                    use_bias=not self.norm,  # BatchNorm has its own
                    dtype=self.dtype,
                    kernel_init=nn.initializers.he_normal(),
                    name=f"conv{stage}_{i}",
                )(x)
                if self.norm:
                    name = f"norm{stage}_{i}"
                    x = nn.BatchNorm(not train, momentum=0.9, dtype=self.dtype, name=name)(x)
                x = nn.relu(x)
        x = pooled(x, self.head, "ConvNet")
        return Dropout(self.dropout, deterministic=not train)(x)

    @staticmethod
    def stages(shape: tuple[int, ...]) -> int:
        """Returns how many stages pictures of shape (h, w, c) go through."""
        return min(max(int(math.log2(min(shape[:2]))) - 1, 1), 3)
