"""LeNet-5, the first convolutional network in wide use (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import check_pictures


class LeNet(nn.Module):
    """Two 5x5 convolutions with tanh, each averaged over 2x2, then dense layers of 120 and 84.

    As it is written today: every map of the second convolution sees every map of the first, pooling
    has no weights, and the last layer is linear instead of radial basis functions. The first
    convolution pads by 2, as the paper did with MNIST's 28x28, the second does not.

    Attributes:
      outputs: outputs per example, as the number of classes.
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.

    References:
      LeCun et al., "Gradient-Based Learning Applied to Document Recognition", 1998.
    """

    outputs: int
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c] of 12 pixels a side or more.

        Raises:
          TaskError: if the inputs are not such pictures.
        """
        return self.output(self.features(inputs))

    @nn.compact
    def features(self, inputs: jax.Array) -> jax.Array:
        """Returns what the last layer sees, [b, 84]; called as `__call__` is."""
        check_pictures(inputs, "LeNet", smallest=12)
        x = inputs.astype(self.dtype)
        x = nn.tanh(nn.Conv(6, (5, 5), dtype=self.dtype, name="conv0")(x))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        x = nn.tanh(nn.Conv(16, (5, 5), padding="VALID", dtype=self.dtype, name="conv1")(x))
        x = nn.avg_pool(x, (2, 2), strides=(2, 2)).reshape(x.shape[0], -1)
        x = nn.tanh(nn.Dense(120, dtype=self.dtype, name="dense0")(x))
        return nn.tanh(nn.Dense(84, dtype=self.dtype, name="dense1")(x))
