"""The residual networks for small pictures, ResNet-20 to ResNet-56 (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import Pool, check_pictures, pooled
from jrecipe.types import TaskError


class ResNetCifar(nn.Module):
    """A 3x3 convolution, then three stages of residual blocks, each stage at half the size.

    Section 4.2 of the paper: a block is convolution, BatchNorm, ReLU, convolution, BatchNorm, plus
    its input, ReLU. Where size and channels change, the shortcut takes every second pixel and pads
    the channels with zeros, half of them before and half after ("option A", no parameters).

    Attributes:
      outputs: outputs per example, as the number of classes.
      depth: weighted layers, 6 n + 2 for n blocks a stage; the paper has 20, 32, 44, 56 and 110.
      width: channels of the first stage; the others have twice and four times as many.
      head: "gap" as in the paper, or "flatten".
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      zero_init: start the last scale of each block at 0, so that a block begins as its shortcut.
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.

    References:
      He et al., "Deep Residual Learning for Image Recognition", 2015, arXiv:1512.03385.
      Goyal et al., "Accurate, Large Minibatch SGD", 2017, arXiv:1706.02677 (`zero_init`).
    """

    outputs: int
    depth: int = 20
    width: int = 16
    head: Pool = "gap"
    dropout: float = 0.0
    zero_init: bool = False
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
          train: switches BatchNorm to the statistics of the batch, and dropout on.

        Raises:
          TaskError: if the inputs are not pictures, or `depth` or `head` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, 4 width] with "gap"; called as `__call__` is."""
        check_pictures(inputs, "ResNetCifar")
        blocks, rest = divmod(self.depth - 2, 6)
        if rest or blocks < 1:
            raise TaskError(
                f"ResNetCifar.depth needs 6 n + 2 with n >= 1, got {self.depth}; try 20."
            )
        x = _conv(self.width, dtype=self.dtype, name="conv1")(inputs.astype(self.dtype))
        x = nn.relu(_norm(train, self.dtype, "bn1")(x))
        for stage in range(3):
            for block in range(blocks):
                x = CifarBlock(
                    self.width * 2**stage,
                    stride=2 if stage > 0 and block == 0 else 1,
                    zero_init=self.zero_init,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}_{block}",
                )(x, train=train)
        x = pooled(x, self.head, "ResNetCifar")
        return Dropout(self.dropout, deterministic=not train)(x)


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters.

    Attributes:
      width: channels of the outputs, at least those of the inputs.
      stride: of the first convolution and the shortcut.
      zero_init: start the last scale at 0.
      dtype: of the computation.
    """

    width: int
    stride: int = 1
    zero_init: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns [b, ceil(h / stride), ceil(w / stride), width]."""
        y = _conv(self.width, self.stride, dtype=self.dtype, name="conv1")(x)
        y = nn.relu(_norm(train, self.dtype, "bn1")(y))
        y = _conv(self.width, dtype=self.dtype, name="conv2")(y)
        y = _norm(train, self.dtype, "bn2", zero=self.zero_init)(y)
        missing = self.width - x.shape[-1]
        shortcut = jnp.pad(
            x[:, :: self.stride, :: self.stride],
            ((0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)),
        )
        return nn.relu(y + shortcut)


def _conv(width: int, stride: int = 1, **options: Any) -> nn.Module:
    """Returns a 3x3 convolution without bias, padded by 1 on each side whatever the stride."""
    options["kernel_init"] = nn.initializers.he_normal()
    return nn.Conv(width, (3, 3), stride, padding=1, use_bias=False, **options)


def _norm(train: bool, dtype: Any, name: str, *, zero: bool = False) -> nn.BatchNorm:
    scale = nn.initializers.zeros_init() if zero else nn.initializers.ones_init()
    return nn.BatchNorm(not train, momentum=0.9, dtype=dtype, scale_init=scale, name=name)
