"""RandAugment and TrivialAugment: some operations at one strength (D3)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jrecipe.augment.colour import UNIT, black, luma, mean_light, towards
from jrecipe.augment.draws import draws, whole
from jrecipe.augment.numbers import require_between, require_whole
from jrecipe.augment.pictures import (
    Range,
    float_pictures_of,
    pictures_of,
    recoloured,
    require_in_range,
)
from jrecipe.augment.translate import pad
from jrecipe.augment.warping import (
    Mode,
    about_centre,
    identity,
    matrices,
    product,
    require_mode,
    rotation,
    warp,
)
from jrecipe.types import Array, Augment, Batch, Key

STRONGEST = 10.0
DEGREES, SHEAR, MOVE, COLOUR = 30.0, 0.3, 0.3, 0.9  # at full strength, as in the papers

# Each takes a signed strength float32[] in [-1, 1] and height and width to a matrix [3, 3]; at 0
# nothing moves. `lax.switch` picks one for each example.
Move = Callable[[Array, int, int], Array]
_MOVES: dict[str, Move] = {
    "identity": lambda s, h, w: matrices((1, 0, 0 * s), (0, 1, 0), (0, 0, 1)),
    "rotate": lambda s, h, w: rotation(DEGREES * s),
    "shear_x": lambda s, h, w: matrices((1, SHEAR * s, 0), (0, 1, 0), (0, 0, 1)),
    "shear_y": lambda s, h, w: matrices((1, 0, 0), (SHEAR * s, 1, 0), (0, 0, 1)),
    "translate_x": lambda s, h, w: matrices((1, 0, MOVE * w * s), (0, 1, 0), (0, 0, 1)),
    "translate_y": lambda s, h, w: matrices((1, 0, 0), (0, 1, MOVE * h * s), (0, 0, 1)),
}
_COLOURS = ("brightness", "contrast", "saturation", "solarize", "posterize", "sharpness")
OPERATIONS = (*_MOVES, *_COLOURS)


def rand_augment(
    n: int = 2,
    magnitude: float | Array = 5.0,
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
    value_range: Range | None = UNIT,
) -> Augment:
    """Applies `n` operations, drawn for each example from `OPERATIONS`, at one strength.

    Those that move the picture come first and are joined, so that it is interpolated once; masks,
    boxes and key points move along. Those of light and colour follow in the order drawn. All are
    the identity at strength 0, and signs are drawn.

    Args:
      n: operations for each example, >= 0.
      magnitude: strength of all, in [0, 10]: at 10 turns of 30 degrees, slants of 0.3, moves of
        0.3 of the size, factors of light 1 +- 0.9. May be traced.
      mode: what is outside of a picture, see `random_affine`.
      fill: the constant.
      mask_fill: the constant for masks.
      value_range: lowest and highest value; None for pictures without a range, for which
        "solarize" and "posterize" take that of each picture.

    Raises:
      TaskError: if an argument is out of range; or later as `random_affine`, or (outside of `jit`)
        if pictures leave the range.

    References:
      Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search
      Space", 2019, arXiv:1909.13719. Operations that no strength makes the identity (equalize,
      autocontrast, invert) are left out.
    """
    require_whole("rand_augment", "n", n)
    require_between("rand_augment", "magnitude", magnitude, 0.0, STRONGEST)
    strengths = lambda draw: jnp.full_like(draw, magnitude / STRONGEST)  # noqa: E731
    return _drawn("rand_augment", n, strengths, mode, fill, mask_fill, value_range)


def trivial_augment(
    *,
    mode: Mode = "constant",
    fill: float = 0.0,
    mask_fill: float = 0,
    value_range: Range | None = UNIT,
) -> Augment:
    """Applies one operation of `OPERATIONS` at a random strength to each example; nothing to tune.

    Arguments and errors as `rand_augment`.

    References:
      Mueller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation",
      2021, arXiv:2103.10158.
    """
    return _drawn("trivial_augment", 1, lambda draw: draw, mode, fill, mask_fill, value_range)


def _drawn(
    name: str,
    n: int,
    strengths: Callable[[Array], Array],
    mode: Mode,
    fill: float,
    mask_fill: float,
    value_range: Range | None,
) -> Augment:
    require_mode(name, mode)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, name)
        require_in_range(float_pictures_of(batch, name), value_range, name)
        b, h, w, _ = x.shape
        matrix, layers, numbers = identity(b), [], draws(key, b, 3 * n)
        for i in range(n):
            which, size, sign = numbers[3 * i : 3 * i + 3]
            operation = whole(which, len(OPERATIONS))
            strength = strengths(size) * jnp.where(sign < 0.5, -1.0, 1.0)
            matrix = product(_move(operation, strength, h, w), matrix)
            layers.append((operation, strength))
        if n:
            matrix = about_centre(matrix, (h, w))[:, :2]
            batch = warp(batch, matrix, name, mode=mode, fill=fill, mask_fill=mask_fill)
        for operation, strength in layers:
            batch = _coloured(batch, name, operation, strength, value_range)
        return batch

    return apply


def _move(operation: Array, strength: Array, h: int, w: int) -> Array:
    """Returns the matrices [b, 3, 3] about the centre; operations of colour move nothing."""
    moves = [lambda s, move=move: move(s, h, w) for move in _MOVES.values()]
    branch = jnp.where(operation < len(moves), operation, 0)
    return jax.vmap(lambda i, s: jax.lax.switch(i, moves, s))(branch, strength)


def _coloured(
    batch: Batch, name: str, operation: Array, strength: Array, value_range: Range | None
) -> Batch:
    def change(x: Array) -> Array:
        result = x
        for i, colour in enumerate(_COLOURS, start=len(_MOVES)):
            chosen = (operation == i)[:, None, None, None]
            result = jnp.where(chosen, _colour(colour, x, strength, value_range), result)
        return result

    return recoloured(batch, name, change, value_range)


def _colour(name: str, x: Array, strength: Array, value_range: Range | None) -> Array:
    factor = 1 + COLOUR * strength
    if name == "brightness":
        return towards(x, black(value_range), factor)
    if name == "contrast":
        return towards(x, mean_light(x), factor)
    if name == "saturation":
        return towards(x, luma(x), factor)
    if name == "sharpness":
        return towards(x, _smooth(x), factor)
    strength = jnp.abs(strength)[:, None, None, None]
    if value_range is None:
        low, high = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
    else:
        low, high = (jnp.full((1, 1, 1, 1), bound) for bound in value_range)
    if name == "solarize":  # bright parts are inverted, from the brightest on
        return jnp.where(x > high - strength * (high - low), low + high - x, x)
    levels = 2 ** jnp.round(8 - 6 * strength) - 1  # posterize: 8 bits down to 2
    steps = jnp.round((x - low) / jnp.maximum(high - low, 1e-12) * levels) / levels
    return jnp.where(strength > 0, low + steps * (high - low), x)


def _smooth(x: Array) -> Array:
    """Returns the mean over 3 x 3 pixels."""
    h, w = x.shape[1:3]
    wide = pad(x, 1, "edge", 0.0)
    rows = sum(wide[:, i : i + h] for i in range(3))
    return sum(rows[:, :, j : j + w] for j in range(3)) / 9
