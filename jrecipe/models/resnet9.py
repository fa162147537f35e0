"""The small residual network of the CIFAR-10 speed runs (C1)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.models.dropout import Dropout
from jrecipe.models.head import Head, HeadInit
from jrecipe.models.pictures import Pool, check_pictures, pooled


class ResNet9(nn.Module):
    """Eight 3x3 convolutions, two residual blocks and the head: 94 % on CIFAR-10 in ten epochs.

    Convolution, BatchNorm and ReLU throughout, max-pooling instead of strides; a residual block of
    two layers after the first and the third pooling. The last layer sees the largest value of each
    channel, times 1/8 so that logits stay small under the large learning rates it is made for.

    Attributes:
      outputs: outputs per example, as the number of classes.
      width: channels of the first layer; the others have 2, 4 and 8 times as many.
      head: None for the largest value over places; "gap" or "flatten" as in the other networks.
      dropout: chance that a feature before the head is dropped in training, in [0, 1) (D9).
      zero_init: start the last scale of each block at 0, so that a block begins as its shortcut.
      scale: of the features that the last layer sees.
      dtype: of the computation before the head; parameters and outputs stay float32.
      head_init: initialisation of the last layer, see `head.Head`.
      squeeze: return [b] instead of [b, 1], for regression.

    References:
      Page, "How to Train Your ResNet", 2018-2019, and the DAWNBench entry of 2018.
      Coleman et al., "Analysis of DAWNBench", 2018, arXiv:1806.01427.
    """

    outputs: int
    width: int = 64
    head: Pool | None = None
    dropout: float = 0.0
    zero_init: bool = False
    scale: float = 0.125
    dtype: Any = jnp.float32
    head_init: HeadInit = "zeros"
    squeeze: bool = False

    def setup(self) -> None:
        """Makes the last layer."""
        self.output = Head(self.outputs, self.head_init, self.squeeze)

    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns float32[b, outputs] from pictures [b, h, w, c] of 8 pixels a side or more.

        Args:
          inputs: numbers of any dtype, best of mean 0 and standard deviation 1.
          train: switches BatchNorm to the statistics of the batch, and dropout on.

        Raises:
          TaskError: if the inputs are not such pictures, or `head` is unknown.
        """
        return self.output(self.features(inputs, train=train))

    @nn.compact
    def features(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        """Returns what the last layer sees, [b, 8 width] unless "flatten"."""
        check_pictures(inputs, "ResNet9", smallest=8)

        def layer(x: jax.Array, times: int, name: str, *, zero: bool = False) -> jax.Array:
            ones, zeros = nn.initializers.ones_init(), nn.initializers.zeros_init()
            x = nn.Conv(
                self.width * times,
                (3, 3),
                use_bias=False,
                dtype=self.dtype,
                kernel_init=nn.initializers.he_normal(),
                name=f"conv_{name}",
            )(x)
            x = nn.BatchNorm(
                not train,
                momentum=0.9,
                dtype=self.dtype,
                scale_init=zeros if zero else ones,
                name=f"norm_{name}",
            )(x)
            return nn.relu(x)

        x = layer(inputs.astype(self.dtype), 1, "prepare")
        for stage, times in enumerate((2, 4, 8), start=1):
            x = nn.max_pool(layer(x, times, f"{stage}"), (2, 2), strides=(2, 2))
            if stage != 2:
                y = layer(x, times, f"{stage}_0")
                x = x + layer(y, times, f"{stage}_1", zero=self.zero_init)
        # Scaled here and not after the head, whose bias then is what is added to the outputs (B5).
        x = x.max(axis=(1, 2)) if self.head is None else pooled(x, self.head, "ResNet9")
        return Dropout(self.dropout, deterministic=not train)(x * self.scale)
