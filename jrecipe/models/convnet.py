"""A small convolutional network for pictures (C1, D7)."""

from __future__ import annotations

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.types import TaskError


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
    head: Literal["gap", "flatten"] = "gap"
    dropout: float = 0.0
    norm: bool = False
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c].

        Args:
          inputs: numbers of any dtype, best of mean 0 and standard deviation 1.
          train: switches dropout on, and BatchNorm to the statistics of the batch.

        Raises:
          TaskError: if the inputs are not pictures or `head` is unknown.
        """
        if inputs.ndim != 4:
            raise TaskError(
                f"ConvNet needs pictures [b, h, w, c], got shape {inputs.shape}; for one channel "
                "add it with x[..., None], for vectors use jr.models.MLP."
            )
        if self.head not in ("gap", "flatten"):
            raise TaskError(f"ConvNet.head needs 'gap' or 'flatten', got {self.head!r}.")
        x = inputs.astype(self.dtype)
        stages = min(max(int(math.log2(min(x.shape[1:3]))) - 1, 1), 3)
        for stage in range(stages):
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
        x = x.mean(axis=(1, 2)) if self.head == "gap" else x.reshape(x.shape[0], -1)
        x = Dropout(self.dropout, deterministic=not train)(x)
        return Head(self.outputs, self.head_init, self.squeeze, name="output")(x)
