"""Turning, scaling and shearing pictures, and all that belongs to them (D2)."""

from __future__ import annotations

import jax.numpy as jnp

from jrecipe.augment.draws import draws, symmetric
from jrecipe.augment.numbers import require_between, require_range
from jrecipe.augment.pictures import pictures_of
from jrecipe.augment.warping import (
    Mode,
    about_centre,
    matrices,
    product,
    require_mode,
    rotation,
    warp,
)
from jrecipe.types import Array, Augment, Batch, Key

_STEEPEST = 89.0


def random_affine(
    degrees: float | Array = 0.0,
    *,
    translate: float | Array = 0.0,
    scale: tuple[float, float] = (1.0, 1.0),
    shear: float | Array = 0.0,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Turns, scales, shears and moves each picture about its centre, in one interpolation.

    Each example draws for itself. Masks (nearest pixel), boxes (around the moved corners, cut at
    the picture) and key points move along; other targets stay. Shapes and dtypes stay, and so does
    the range of values, which `fill` should be in.

    Args:
      degrees: the farthest turn either way, in [0, 180]. May be traced, as may the next.
      translate: the farthest move across and down, as a share of width and height, in [0, 1].
      scale: smallest and largest factor of size, > 0; drawn log-uniformly.
      shear: the steepest slant either way, along x or y, in degrees, in [0, 89].
      mode: what is outside of a picture: "constant", its "edge" repeated, or "reflect".
      fill: the constant, in the unit of the pictures.
      mask_fill: the constant for masks.

    Raises:
      TaskError: if an argument is out of range; or later if the inputs are no float pictures
        [b, h, w, c], or masks, boxes or key points do not fit them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.eye(4)[None, :, :, None], {"boxes": jnp.ones((1, 1, 4))}, jnp.ones(1))
      >>> out = random_affine(degrees=30, scale=(0.8, 1.2))(jax.random.key(0), batch)
      >>> out.inputs.shape, out.targets["boxes"].shape
      ((1, 4, 4, 1), (1, 1, 4))
    """
    return _affine("random_affine", degrees, translate, scale, shear, mode, fill, mask_fill)


def random_rotate(
    degrees: float | Array = 15.0,
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Turns each picture about its centre by up to `degrees` either way; see `random_affine`."""
    return _affine("random_rotate", degrees, 0.0, (1.0, 1.0), 0.0, mode, fill, mask_fill)


def random_scale(
    scale: tuple[float, float] = (0.8, 1.25),
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Enlarges or shrinks each picture about its centre, log-uniformly; see `random_affine`."""
    return _affine("random_scale", 0.0, 0.0, scale, 0.0, mode, fill, mask_fill)


def random_shear(
    degrees: float | Array = 10.0,
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Slants each picture by up to `degrees`, along x or y by even chance; see `random_affine`."""
    return _affine("random_shear", 0.0, 0.0, (1.0, 1.0), degrees, mode, fill, mask_fill)


def _affine(
    name: str,
    degrees: float | Array,
    translate: float | Array,
    scale: tuple[float, float],
    shear: float | Array,
    mode: Mode,
    fill: float,
    mask_fill: float,
) -> Augment:
    slant = "degrees" if name == "random_shear" else "shear"
    require_between(name, "degrees", degrees, 0.0, 180.0)
    require_between(name, "translate", translate, 0.0, 1.0)
    require_range(name, "scale", scale, 1e-3, 1e3)
    require_between(name, slant, shear, 0.0, _STEEPEST)
    require_mode(name, mode)

    def apply(key: Key, batch: Batch) -> Batch:
        b, h, w, _ = pictures_of(batch, name).shape
        turn, right, down, size, tilt, axis = draws(key, b, 6)
        matrix = rotation(symmetric(turn, degrees))
        if tuple(scale) != (1, 1):
            smallest, largest = jnp.log(jnp.array(scale))
            factor = jnp.exp(smallest + (largest - smallest) * size)
            matrix = product(matrix, matrices((factor, 0, 0), (0, factor, 0), (0, 0, 1)))
        if not _nothing(shear):
            slope = jnp.tan(jnp.deg2rad(symmetric(tilt, shear)))
            along_x = axis < 0.5
            along, across = jnp.where(along_x, slope, 0.0), jnp.where(along_x, 0.0, slope)
            matrix = product(matrix, matrices((1, along, 0), (across, 1, 0), (0, 0, 1)))
        if not _nothing(translate):
            x, y = symmetric(right, translate) * w, symmetric(down, translate) * h
            matrix = product(matrices((1, 0, x), (0, 1, y), (0, 0, 1)), matrix)
        matrix = about_centre(matrix, (h, w))[:, :2]
        return warp(batch, matrix, name, mode=mode, fill=fill, mask_fill=mask_fill)

    return apply


def _nothing(most: float | Array) -> bool:
    """Tells whether it is known while compiling that a movement is none."""
    return isinstance(most, int | float) and most == 0
