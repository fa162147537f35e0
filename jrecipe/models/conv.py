"""A convolution for loops: fast inside `scan` on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.types import TaskError


class Conv(nn.Module):
    """A convolution with an odd kernel, stride 1 and SAME padding, written as one matrix product.

    For a loop of your own: XLA's fast convolution on the CPU is not used inside `scan` and `while`
    (jax issue 12868), where `nn.Conv` runs 20 to 35 times slower. Shifted copies of the padded
    input, side by side, turn the same sum into a matrix product, which runs at full speed in a loop
    and under `vmap`. It takes k * l times the memory of the input. jrecipe itself steps networks
    with convolutions one update at a time on a CPU, where `nn.Conv` does as well.

    Parameters have the names, shapes and initialisation of `nn.Conv`, so weights can be exchanged.

    Attributes:
      features: output channels.
      kernel_size: `(k, l)`, both odd.
      use_bias: add a bias per channel.
      dtype: of the computation; parameters stay float32.
      kernel_init: as in `nn.Conv`.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    use_bias: bool = True
    dtype: Any = jnp.float32
    kernel_init: Callable[..., Any] = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Returns [b, h, w, features] from pictures [b, h, w, c].

        Raises:
          TaskError: for a kernel with an even side, or inputs that are not pictures.
        """
        rows, columns = self.kernel_size
        if rows % 2 == 0 or columns % 2 == 0:
            raise TaskError(f"Conv needs an odd kernel_size, got {self.kernel_size}; try (3, 3).")
        if inputs.ndim != 4:
            raise TaskError(
                f"Conv needs pictures [b, h, w, c], got shape {inputs.shape}; for one channel add "
                "it with x[..., None]."
            )
        height, width, channels = inputs.shape[1:]
        kernel = self.param("kernel", self.kernel_init, (rows, columns, channels, self.features))
        x = inputs.astype(self.dtype)
        margin = ((0, 0), (rows // 2, rows // 2), (columns // 2, columns // 2), (0, 0))
        x = jnp.pad(x, margin)
        shifted = [x[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
        patches = jnp.concatenate(shifted, axis=-1)  # channels in the order of the kernel's axes
        result = patches @ kernel.astype(self.dtype).reshape(-1, self.features)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
            result = result + bias.astype(self.dtype)[None, None, None, :]
        return result
