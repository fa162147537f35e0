"""Domain randomisation: everything but the object may change (D3)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.colour import UNIT, mean_light, towards, turned
from jrecipe.augment.draws import draws, symmetric
from jrecipe.augment.fields import fields_of
from jrecipe.augment.numbers import require_between, require_probability
from jrecipe.augment.pictures import Range, per_picture, recoloured
from jrecipe.augment.texture import textures
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def domain_randomise(
    background: float | Array = 0.5,
    *,
    texture: float | Array = 0.2,
    colour: float | Array = 0.4,
    noise: float | Array = 0.05,
    value_range: Range = UNIT,
) -> Augment:
    """Gives each picture another background, texture, light, colour and noise; targets stay.

    For simulated pictures: a network that has seen a thousand worlds takes the real one for one
    more.

    Args:
      background: chance that what the mask leaves out (0) becomes a random texture, in [0, 1];
        needs a "mask" unless it is 0.
      texture: largest share of a random texture laid over the whole picture, in [0, 1].
      colour: strength of light, contrast and (for three channels) hue, in [0, 1].
      noise: largest standard deviation of noise as a share of the range, >= 0.
      value_range: lowest and highest value.

    Raises:
      TaskError: if an argument is out of range; or later if the inputs are no float pictures, have
        no mask but `background` > 0, or (outside of `jit`) leave the range.

    References:
      Tobin et al., "Domain Randomization for Transferring Deep Neural Networks from Simulation to
      the Real World", 2017, arXiv:1703.06907.
    """
    name = "domain_randomise"
    require_probability(name, background, "background")
    require_between(name, "texture", texture, 0.0, 1.0)
    require_between(name, "colour", colour, 0.0, 1.0)
    require_between(name, "noise", noise, 0.0)
    low, high = value_range

    def apply(key: Key, batch: Batch) -> Batch:
        behind = None
        if not (isinstance(background, int | float) and background == 0):
            behind = _behind(batch, name)

        def change(x: Array) -> Array:
            keys = [jax.random.fold_in(key, i) for i in range(3)]
            swap, share, light, contrast, hue, size = draws(key, len(x), 6)
            x = (x - low) / (high - low)
            if behind is not None:
                changed = per_picture(swap < background) & behind
                x = jnp.where(changed, textures(keys[0], x.shape), x)
            x = towards(x, textures(keys[1], x.shape), 1 - texture * share)
            x = towards(x, 0.0, 1 + symmetric(light, colour))
            x = towards(x, mean_light(x), 1 + symmetric(contrast, colour))
            if x.shape[-1] == 3:
                x = turned(x, symmetric(hue, 180.0 * colour))
            x = x + per_picture(noise * size) * jax.random.normal(keys[2], x.shape)
            return low + (high - low) * x

        return recoloured(batch, name, change, value_range)

    return apply


def _behind(batch: Batch, name: str) -> Array:
    """Returns bool[b, h, w, 1]: where every mask is 0."""
    masks = [leaf for field, leaf in fields_of(batch, name).values() if field == "mask"]
    if not masks:
        raise TaskError(
            f"{name} needs a 'mask' in inputs or targets to tell the background, got none; give "
            "one, or background=0."
        )
    whole = [mask if mask.ndim == 4 else mask[..., None] for mask in masks]
    return jnp.all(jnp.concatenate([mask == 0 for mask in whole], axis=-1), axis=-1, keepdims=True)
