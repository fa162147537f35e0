"""Blurred and noisy pictures (D2); targets stay."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jrecipe.augment.draws import draws
from jrecipe.augment.numbers import require_between, require_range
from jrecipe.augment.pictures import Range, per_picture, recoloured
from jrecipe.augment.translate import pad
from jrecipe.types import Array, Augment, Batch, Key


def random_blur(sigma: tuple[float, float] = (0.1, 1.0)) -> Augment:
    """Blurs each picture with a Gaussian whose width it draws; edges are repeated.

    Args:
      sigma: smallest and largest standard deviation in pixels, >= 0; drawn uniformly. The kernel
        reaches to three times the largest.

    Raises:
      TaskError: if `sigma` is no such pair, or later if the inputs are no float pictures.
    """
    require_range("random_blur", "sigma", sigma, 0.0)
    reach = math.ceil(3 * sigma[1])

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            widths = sigma[0] + (sigma[1] - sigma[0]) * draws(key, len(x))[0]
            return blurred(x, widths, reach)

        return recoloured(batch, "random_blur", change, None)

    return apply


def random_noise(
    strength: float | Array = 0.1, *, value_range: Range | None = (0.0, 1.0)
) -> Augment:
    """Adds Gaussian noise to each picture, of a standard deviation that it draws.

    Args:
      strength: largest standard deviation, >= 0, in the unit of the pictures; drawn uniformly from
        0. May be traced.
      value_range: lowest and highest value, to which the sum is cut; None for no limit.

    Raises:
      TaskError: if `strength` is negative, or later if the inputs are no float pictures, or
        (outside of `jit`) not in the range.
    """
    require_between("random_noise", "strength", strength, 0.0)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            size, noise = (jax.random.fold_in(key, i) for i in range(2))
            deviation = strength * draws(size, len(x))[0]
            return x + per_picture(deviation) * jax.random.normal(noise, x.shape)

        return recoloured(batch, "random_noise", change, value_range)

    return apply


def blurred(x: Array, sigma: Array, reach: int) -> Array:
    """Returns pictures blurred by Gaussians of widths [b], cut at `reach` pixels.

    As sums of shifted pictures: the few products of each pixel fuse, where a convolution with a
    kernel for every picture would not.
    """
    if reach == 0:
        return x
    steps = jnp.arange(-reach, reach + 1)
    weights = jnp.exp(-0.5 * (steps[None] / jnp.maximum(sigma, 1e-3)[:, None]) ** 2)
    weights = weights / weights.sum(axis=1, keepdims=True)
    wide = pad(x, reach, "edge", 0.0)
    for axis in (1, 2):
        size = x.shape[axis]
        wide = sum(
            per_picture(weights[:, k]) * jax.lax.slice_in_dim(wide, k, k + size, axis=axis)
            for k in range(2 * reach + 1)
        )
    return wide
