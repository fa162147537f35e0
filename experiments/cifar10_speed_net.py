"""The network of `cifar10_speed.py`, how pictures are changed in training, and six-view evaluation.

Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, arXiv:2404.00498, section 3.
Pictures lie channels last; the layers compute in bfloat16 and keep float32 weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

import jrecipe as jr

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the 50,000; white is 1
HEAD_SCALE = 1 / 9  # of the logits
VIEW_WEIGHTS = (1 / 4, 1 / 8, 1 / 8) * 2  # of `six_views`: the picture where it is counts twice


def normalised(pictures: jax.Array) -> jax.Array:
    """Returns float32[b, h, w, 3] of mean 0 and deviation 1 per channel, from uint8[b, h, w, 3]."""
    shape = (1, 1, 1, 3)
    mean, deviation = jnp.reshape(jnp.array(MEAN), shape), jnp.reshape(jnp.array(DEVIATION), shape)
    return (pictures.astype(jnp.float32) / 255 - mean) / deviation


def patches(pictures: jax.Array) -> jax.Array:
    """Returns every 2x2 patch, [b, h - 1, w - 1, 4 c], of pictures [b, h, w, c]."""
    top, bottom = pictures[:, :-1], pictures[:, 1:]
    corners = (top[:, :, :-1], top[:, :, 1:], bottom[:, :, :-1], bottom[:, :, 1:])
    return jnp.concatenate(corners, axis=-1)


def whitening_kernel(pictures: jax.Array, epsilon: float = 5e-4) -> jax.Array:
    """Returns float32[4 c, 8 c], which whitens the 2x2 patches of pictures and their negatives.

    The eigenvectors of the patches' second moments (their covariance, as the pictures have mean 0),
    each divided by the root of its eigenvalue; then all of them again, negative, since GELU drops
    one side.

    Args:
      pictures: float32[n, h, w, c], of mean 0.
      epsilon: is added to the eigenvalues, so that the faintest are not blown up.
    """
    flat = patches(pictures).reshape(-1, 4 * pictures.shape[-1])
    # A GPU multiplies float32 with 10 bits by default; these eigenvalues span 4 powers of ten.
    moments = jnp.matmul(flat.T, flat, precision=jax.lax.Precision.HIGHEST) / len(flat)
    values, vectors = jnp.linalg.eigh(moments)
    kernel = vectors / jnp.sqrt(values + epsilon)[None, :]
    return jnp.concatenate([kernel, -kernel], axis=1)


def uniform(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Draws from +-1 / sqrt(inputs of a unit), which is torch's default and the paper's."""
    return nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")(key, shape, dtype)


def dirac(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """Draws a kernel [k, l, c, d] whose first min(c, d) outputs copy the inputs.

    The other outputs are `uniform`. Zagoruyko and Komodakis, "DiracNets", 2017, arXiv:1706.00388.
    """
    rows, columns, *channels = shape
    same = jnp.arange(min(channels))
    copying = jnp.zeros((*shape[:3], len(same)), dtype)
    copying = copying.at[rows // 2, columns // 2, same, same].set(1)
    return jnp.concatenate([copying, uniform(key, shape, dtype)[..., len(same) :]], axis=-1)


def halved(x: jax.Array) -> jax.Array:
    """Returns the largest of each 2x2 square, [b, h // 2, w // 2, c]; an odd last line is left out.

    Not `nn.max_pool`, whose gradient is a scatter; this one's is elementwise and fuses.
    """
    batch, height, width, channels = x.shape
    height, width = height // 2, width // 2
    squares = x[:, : 2 * height, : 2 * width].reshape(batch, height, 2, width, 2, channels)
    return squares.max(axis=(2, 4))


class Net(nn.Module):
    """Whitening, three blocks of (convolution, pool, norm, GELU, convolution, norm, GELU), head.

    Attributes:
      widths: channels of the blocks.
      conv: makes a 3x3 convolution that keeps the size, as `nn.Conv` does.
      dtype: of the computation before the head.
    """

    widths: tuple[int, ...] = (64, 256, 256)
    conv: Any = nn.Conv
    dtype: Any = jnp.bfloat16

    @nn.compact
    def __call__(
        self, pictures: jax.Array, whitening: jax.Array, *, train: bool = False
    ) -> jax.Array:
        """Returns logits float32[b, 10].

        Args:
          pictures: [b, h, w, c], `normalised`; h and w from 17 on.
          whitening: float[4 c, d], as `whitening_kernel` makes it; an argument and no parameter,
            so that nothing trains it.
          train: normalise by the batch and advance the running statistics.
        """
        bias = self.param("whitening_bias", nn.initializers.zeros_init(), whitening.shape[1:])
        x = patches(pictures.astype(self.dtype)) @ whitening.astype(self.dtype)
        x = self._gelu(x + bias.astype(self.dtype)[None, None, None, :])
        for i, width in enumerate(self.widths):
            x = halved(self._conv(f"conv{i}_0", width)(x))
            x = self._gelu(self._norm(f"norm{i}_0", train)(x))
            x = self._conv(f"conv{i}_1", width)(x)
            x = self._gelu(self._norm(f"norm{i}_1", train)(x))
        x = x.max(axis=(1, 2)).astype(jnp.float32)
        return nn.Dense(10, use_bias=False, kernel_init=uniform, name="output")(x) * HEAD_SCALE

    def _conv(self, name: str, width: int) -> nn.Module:
        kernel = {"kernel_size": (3, 3), "use_bias": False, "kernel_init": dirac}
        return self.conv(width, **kernel, dtype=self.dtype, name=name)

    def _norm(self, name: str, train: bool) -> nn.Module:
        return nn.BatchNorm(
            use_running_average=not train,
            momentum=0.6,  # statistics follow weights that move fast
            epsilon=1e-12,
            use_scale=False,
            dtype=self.dtype,
            name=name,
        )

    def _gelu(self, x: jax.Array) -> jax.Array:
        return nn.gelu(x, approximate=False)


def alternating_flip(pictures: jax.Array, first: jax.Array, epoch: jax.Array) -> jax.Array:
    """Mirrors [b, h, w, c] left to right in every second epoch, so that two epochs show each side.

    `jr.augment.random_flip` draws anew each time and shows a picture the same way twice in half of
    the pairs; section 3.6 of the paper.

    Args:
      pictures: of any dtype.
      first: bool[b], which of them are mirrored in epoch 0.
      epoch: int32[].
    """
    mirror = jnp.logical_xor(first, epoch % 2 == 1)[:, None, None, None]
    return jnp.where(mirror, pictures[:, :, ::-1], pictures)


def padded(pictures: jax.Array, pixels: int) -> jax.Array:
    """Returns [b, h + 2 pixels, w + 2 pixels, c]: `pixels` on each side, mirrored at the edge."""
    sides = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    return jnp.pad(pictures, sides, mode="reflect")


def crops(pictures: jax.Array, rows: jax.Array, corners: jax.Array, size: int) -> jax.Array:
    """Cuts a square from each chosen picture, in one gather.

    Args:
      pictures: [n, h, w, c], of any dtype.
      rows: int32[b], which of them.
      corners: int32[b, 2], first line and column of each square.
      size: of its side.

    Returns:
      [b, size, size, c].
    """

    def cut(row: jax.Array, corner: jax.Array) -> jax.Array:
        at = (row, corner[0], corner[1], 0)
        return jax.lax.dynamic_slice(pictures, at, (1, size, size, pictures.shape[3]))[0]

    return jax.vmap(cut)(rows, corners)


def cutout(pictures: jax.Array, corners: jax.Array, size: int) -> jax.Array:
    """Sets a square of side `size` to 0 in each of [b, h, w, c]; `corners` int32[b, 2]."""

    def inside(length: int, first: jax.Array) -> jax.Array:
        place = jnp.arange(length)[None, :] - first[:, None]
        return (place >= 0) & (place < size)

    lines = inside(pictures.shape[1], corners[:, 0])[:, :, None, None]
    columns = inside(pictures.shape[2], corners[:, 1])[:, None, :, None]
    return jnp.where(lines & columns, 0, pictures)


def six_views(pictures: jax.Array) -> jax.Array:
    """Returns [6, b, h, w, c]: where it is, a pixel down and right, up and left; all mirrored."""
    wide = padded(pictures, 1)
    views = jnp.stack([pictures, wide[:, :-2, :-2], wide[:, 2:, 2:]])
    return jnp.concatenate([views, views[:, :, :, ::-1]])


def viewed(logits_of: Callable[[jax.Array], jax.Array], pictures: jax.Array) -> jax.Array:
    """Returns the mean logits float32[b, c] over six views of [b, h, w, c], by `VIEW_WEIGHTS`."""
    views = six_views(pictures)
    logits = logits_of(views.reshape(-1, *pictures.shape[1:])).reshape(*views.shape[:2], -1)
    return jnp.sum(logits * jnp.array(VIEW_WEIGHTS)[:, None, None], axis=0)


def accuracy(
    logits_of: Callable[[jax.Array], jax.Array], x: jax.Array, y: jax.Array, at_once: int
) -> jax.Array:
    """Returns the share float32[] of the test pictures [n, h, w, c] that six views get right."""
    at_once = min(at_once, len(x))
    spare = -len(x) % at_once
    pictures = jnp.pad(x, ((0, spare), (0, 0), (0, 0), (0, 0)))
    classes = jnp.pad(y, (0, spare), constant_values=-1)  # no logit is the largest there

    def right(part: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jr.metrics.accuracy(viewed(logits_of, part[0]), part[1]).sum()

    parts = pictures.reshape(-1, at_once, *x.shape[1:]), classes.reshape(-1, at_once)
    return jax.lax.map(right, parts).sum() / len(x)
