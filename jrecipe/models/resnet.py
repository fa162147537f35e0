"""The residual networks for large pictures, ResNet-18, 34 and 50 (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import Pool, check_pictures, pooled
from jrecipe.types import TaskError

# Blocks a stage, and how many times wider a block's output is than its 3x3 convolution.
LAYOUTS = {18: ((2, 2, 2, 2), 1), 34: ((3, 4, 6, 3), 1), 50: ((3, 4, 6, 3), 4)}


class ResNet(nn.Module):
    """A 7x7 convolution and a max-pool, both of stride 2, then four stages of residual blocks.

    Layout, names and numbers are those of torchvision, so that its weights fit, see
    `load_pretrained`: in the bottleneck blocks of ResNet-50 the 3x3 convolution has the stride
    ("v1.5"), and shortcuts that change shape are 1x1 convolutions with BatchNorm.

    Attributes:
      outputs: outputs per example, as the number of classes.
      depth: weighted layers: 18, 34 or 50.
      width: channels of the stem and of the first stage's 3x3 convolutions.
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
    depth: int = 18
    width: int = 64
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
          inputs: numbers of any dtype, best of mean 0 and standard deviation 1; any size, though
            below 64 pixels little is left for the last stages.
          train: switches BatchNorm to the statistics of the batch, and dropout on.

        Raises:
          TaskError: if the inputs are not pictures, or `depth` or `head` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, d]; called as `__call__` is.

        With "gap" d is 8 width, or 32 width for ResNet-50.
        """
        check_pictures(inputs, "ResNet")
        if self.depth not in LAYOUTS:
            raise TaskError(
                f"ResNet.depth needs one of {', '.join(map(str, LAYOUTS))}, got {self.depth}; for "
                "small pictures see jr.models.ResNetCifar."
            )
        stages, expansion = LAYOUTS[self.depth]
        conv, norm = _layers(train, self.dtype)
        x = conv(self.width, 7, 2, name="conv1")(inputs.astype(self.dtype))
        x = nn.relu(norm(name="bn1")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
        for stage, blocks in enumerate(stages):
            for block in range(blocks):
                x = ResNetBlock(
                    self.width * 2**stage,
                    expansion=expansion,
                    stride=2 if stage > 0 and block == 0 else 1,
                    zero_init=self.zero_init,
                    dtype=self.dtype,
                    name=f"layer{stage + 1}_{block}",
                )(x, train=train)
        x = pooled(x, self.head, "ResNet")
        return Dropout(self.dropout, deterministic=not train)(x)


class ResNetBlock(nn.Module):
    """A basic block (two 3x3) or a bottleneck (1x1, 3x3, 1x1), plus its input.

    Attributes:
      width: channels of the 3x3 convolutions.
      expansion: 1 for a basic block; for a bottleneck, times wider the output is.
      stride: of the first 3x3 convolution and the shortcut.
      zero_init: start the last scale at 0.
      dtype: of the computation.
    """

    width: int
    expansion: int = 1
    stride: int = 1
    zero_init: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns [b, ceil(h / stride), ceil(w / stride), width * expansion]."""
        conv, norm = _layers(train, self.dtype)
        wide, stride = self.width * self.expansion, self.stride
        if self.expansion == 1:
            layers = [(self.width, 3, stride), (self.width, 3, 1)]
        else:
            layers = [(self.width, 1, 1), (self.width, 3, stride), (wide, 1, 1)]
        y = x
        for i, layer in enumerate(layers, start=1):
            last = i == len(layers)
            y = conv(*layer, name=f"conv{i}")(y)
            y = norm(zero=last and self.zero_init, name=f"bn{i}")(y)
            y = y if last else nn.relu(y)
        if stride != 1 or x.shape[-1] != wide:
            x = norm(name="downsample_1")(conv(wide, 1, stride, name="downsample_0")(x))
        return nn.relu(y + x)


def _layers(train: bool, dtype: Any) -> tuple[Any, Any]:
    """Returns makers of a convolution `(width, kernel, stride)` and of a BatchNorm."""

    def conv(width: int, kernel: int, stride: int, name: str) -> nn.Conv:
        return nn.Conv(
            width,
            (kernel, kernel),
            stride,
            padding=kernel // 2,
            use_bias=False,
            dtype=dtype,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            name=name,
        )

    def norm(name: str, *, zero: bool = False) -> nn.BatchNorm:
        scale = nn.initializers.zeros_init() if zero else nn.initializers.ones_init()
        return nn.BatchNorm(not train, momentum=0.9, dtype=dtype, scale_init=scale, name=name)

    return conv, norm
