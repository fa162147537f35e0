"""SqueezeNet 1.1, an ImageNet network of 1.2 million parameters (C1, D4)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import Pool, check_pictures, pooled

# Channels of the 1x1 squeeze and of each half of the expansion, fire 2 to 9.
_FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))


class SqueezeNet(nn.Module):
    """A strided convolution, then eight fire modules, which squeeze channels and expand them again.

    Names and numbers are those of the Keras port of SqueezeNet 1.1, whose features
    `load_pretrained` reads. The classifier is a dense layer after the mean over places, which is
    the paper's 1x1 convolution before it, without the ReLU between them.

    Attributes:
      outputs: outputs per example, as the number of classes.
      head: "gap" as in the paper, or "flatten".
      dropout: chance that a feature before the head is dropped in training; the paper has 0.5.
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.

    References:
      Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016,
      arXiv:1602.07360.
    """

    outputs: int
    head: Pool = "gap"
    dropout: float = 0.0
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c] of 31 pixels a side or more.

        Args:
          inputs: numbers of any dtype; for pretrained weights as `Pretrained.preprocess` makes
            them.
          train: switches dropout on.

        Raises:
          TaskError: if the inputs are not such pictures, or `head` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, 512] with "gap"; called as `__call__` is."""
        check_pictures(inputs, "SqueezeNet", smallest=31)
        first = nn.Conv(64, (3, 3), 2, padding="VALID", dtype=self.dtype, name="conv1")
        x = nn.relu(first(inputs.astype(self.dtype)))
        for i, (few, many) in enumerate(_FIRES, start=2):
            if i in (2, 4, 6):
                x = nn.max_pool(x, (3, 3), strides=(2, 2))
            x = Fire(few, many, dtype=self.dtype, name=f"fire{i}")(x)
        x = pooled(x, self.head, "SqueezeNet")
        return Dropout(self.dropout, deterministic=not train)(x)


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 side by side, each with ReLU.

    Attributes:
      few: channels after the squeeze.
      many: channels of each half of the outputs.
      dtype: of the computation.
    """

    few: int
    many: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns [b, h, w, 2 many]."""

        def conv(width: int, side: int, name: str) -> nn.Conv:
            return nn.Conv(width, (side, side), dtype=self.dtype, name=name)

        x = nn.relu(conv(self.few, 1, "squeeze1x1")(x))
        halves = conv(self.many, 1, "expand1x1")(x), conv(self.many, 3, "expand3x3")(x)
        return nn.relu(jnp.concatenate(halves, axis=-1))
