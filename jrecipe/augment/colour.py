"""Light and colour (D2); targets stay, since these do not move anything.

All need float pictures. Values stay in `value_range`: (0, 1) unless said otherwise; None for
pictures without a range, as normalised ones are. Outside of `jit` pictures that leave the range are
an error, since they would be cut.
"""

from __future__ import annotations

import math

import jax.numpy as jnp

from jrecipe.augment.draws import draws, symmetric
from jrecipe.augment.numbers import require_between, require_probability
from jrecipe.augment.pictures import Range, per_picture, recoloured
from jrecipe.types import Array, Augment, Batch, Key

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as elsewhere in the field
UNIT: Range = (0.0, 1.0)


def random_brightness(
    strength: float | Array = 0.4, *, value_range: Range | None = UNIT
) -> Augment:
    """Multiplies each picture by a factor from `1 - strength` to `1 + strength`.

    Args:
      strength: >= 0; factors below 0 count as 0. May be traced.
      value_range: lowest and highest value; black is the lowest, or 0 without a range.

    Raises:
      TaskError: if `strength` is negative, or later if the inputs are no float pictures, or
        (outside of `jit`) not in the range.
    """
    require_between("random_brightness", "strength", strength, 0.0)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            return towards(x, black(value_range), _factors(key, len(x), strength))

        return recoloured(batch, "random_brightness", change, value_range)

    return apply


def random_contrast(strength: float | Array = 0.4, *, value_range: Range | None = UNIT) -> Augment:
    """Spreads each picture about its mean by a factor from `1 - strength` to `1 + strength`.

    The mean is that of the luma for three channels. Arguments and errors as `random_brightness`.
    """
    require_between("random_contrast", "strength", strength, 0.0)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            return towards(x, mean_light(x), _factors(key, len(x), strength))

        return recoloured(batch, "random_contrast", change, value_range)

    return apply


def random_saturation(
    strength: float | Array = 0.4, *, value_range: Range | None = UNIT
) -> Augment:
    """Moves colours from or towards grey by a factor from `1 - strength` to `1 + strength`.

    Needs three channels: red, green, blue. Arguments and errors as `random_brightness`.
    """
    require_between("random_saturation", "strength", strength, 0.0)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            return towards(x, luma(x), _factors(key, len(x), strength))

        return recoloured(batch, "random_saturation", change, value_range, channels=3)

    return apply


def random_hue(degrees: float | Array = 30.0, *, value_range: Range | None = UNIT) -> Augment:
    """Turns the colours of each picture about the grey axis, by up to `degrees` either way.

    The mean of the three channels stays, greys stay, and 120 degrees make red to green, green to
    blue and blue to red. Linear, so it has none of HSV's corners.

    Args:
      degrees: the farthest turn, in [0, 180]. May be traced.
      value_range: see the head of this module.

    Raises:
      TaskError: if `degrees` is out of range, or later as in `random_saturation`.
    """
    require_between("random_hue", "degrees", degrees, 0.0, 180.0)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            return turned(x, symmetric(draws(key, len(x))[0], degrees))

        return recoloured(batch, "random_hue", change, value_range, channels=3)

    return apply


def random_grey(p: float | Array = 0.1) -> Augment:
    """Takes the colour from each picture with chance `p`; the luma is in all three channels.

    Raises:
      TaskError: if `p` is not a probability, or later if the inputs are no float pictures with
        three channels.
    """
    require_probability("random_grey", p)

    def apply(key: Key, batch: Batch) -> Batch:
        def change(x: Array) -> Array:
            grey = draws(key, len(x))[0] < p
            return jnp.where(per_picture(grey), luma(x), x)

        return recoloured(batch, "random_grey", change, None, channels=3)

    return apply


def towards(x: Array, end: Array | float, factor: Array) -> Array:
    """Returns `end + factor * (x - end)` for a factor [b]; a factor of 1 keeps every bit."""
    factor = per_picture(factor)
    return x * factor + end * (1 - factor)


def black(value_range: Range | None) -> float:
    """Returns the value of darkness."""
    return 0.0 if value_range is None else value_range[0]


def luma(x: Array) -> Array:
    """Returns the brightness [b, h, w, 1] of pictures with three channels; others keep theirs."""
    if x.shape[-1] != 3:
        return x
    # Channel by channel: as one sum over the channels XLA takes three times as long on a CPU.
    return sum(share * x[..., i : i + 1] for i, share in enumerate(LUMA))


def mean_light(x: Array) -> Array:
    """Returns the mean brightness of each picture, [b, 1, 1, 1]."""
    means = jnp.mean(x, axis=(1, 2), keepdims=True)
    return jnp.mean(luma(means), axis=-1, keepdims=True)


def turned(x: Array, degrees: Array) -> Array:
    """Returns pictures with their colours turned about the grey axis, by degrees [b]."""
    angle = degrees * (math.pi / 180)
    own = (1 + 2 * jnp.cos(angle)) / 3
    # Each channel is made of itself, the one before and the one after; the shares add up to 1.
    before = (1 - jnp.cos(angle)) / 3 + jnp.sin(angle) / math.sqrt(3)
    after = (1 - jnp.cos(angle)) / 3 - jnp.sin(angle) / math.sqrt(3)
    own, before, after = per_picture(own), per_picture(before), per_picture(after)
    return own * x + before * jnp.roll(x, 1, -1) + after * jnp.roll(x, -1, -1)


def _factors(key: Key, b: int, strength: float | Array) -> Array:
    return jnp.maximum(1 + symmetric(draws(key, b)[0], strength), 0.0)
