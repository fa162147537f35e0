"""Seeing a picture from aside (D2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.numbers import require_between
from jrecipe.augment.pictures import pictures_of
from jrecipe.augment.warping import Mode, invert, matrices, product, require_mode, warp
from jrecipe.types import Array, Augment, Batch, Key


def random_perspective(
    strength: float | Array = 0.3,
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Moves the four corners of each picture inwards at random, each by itself.

    Masks, boxes and key points move along, see `random_affine`.

    Args:
      strength: the farthest move of a corner, as a share of half the width and height, in [0, 0.9].
        May be traced.
      mode: what is outside of a picture, see `random_affine`.
      fill: the constant, in the unit of the pictures.
      mask_fill: the constant for masks.

    Raises:
      TaskError: if an argument is out of range, or later as in `random_affine`.

    References:
      Heckbert, "Fundamentals of Texture Mapping and Image Warping", 1989, section 2.2.3.
    """
    require_between("random_perspective", "strength", strength, 0.0, 0.9)
    require_mode("random_perspective", mode)

    def apply(key: Key, batch: Batch) -> Batch:
        b, h, w, _ = pictures_of(batch, "random_perspective").shape
        inwards = 0.5 * strength * jax.random.uniform(key, (b, 4, 2))
        square = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        corners = square[None] + (1 - 2 * square)[None] * inwards
        pixels = matrices((w, 0, 0), (0, h, 0), (0, 0, 1))[None]
        matrix = product(product(pixels, from_unit_square(corners)), invert(pixels))
        return warp(batch, matrix, "random_perspective", mode=mode, fill=fill, mask_fill=mask_fill)

    return apply


def from_unit_square(corners: Array) -> Array:
    """Returns float32[b, 3, 3] that takes the unit square to quadrilaterals.

    Args:
      corners: float32[b, 4, 2], where (0, 0), (1, 0), (1, 1) and (0, 1) go; convex.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (corners[:, i].T for i in range(4))
    sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
    dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
    determinant = dx1 * dy2 - dx2 * dy1
    g = (sx * dy2 - dx2 * sy) / determinant
    h = (dx1 * sy - sx * dy1) / determinant
    return matrices(
        (x1 - x0 + g * x1, x3 - x0 + h * x3, x0),
        (y1 - y0 + g * y1, y3 - y0 + h * y3, y0),
        (g, h, 1),
    )
