"""Moving pictures by whole pixels (D2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.pictures import pictures_of
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def random_translate(pixels: int | Array = 1) -> Augment:
    """Moves each picture by up to `pixels` down and right, independently; edges are repeated.

    The same as padding and cropping at random. Keeps shapes, dtypes and targets.

    Args:
      pixels: the farthest move in either direction, >= 0; all moves are equally likely. May be
        traced.

    Raises:
      TaskError: if `pixels` is negative or no integer, or later if the inputs are no pictures.
    """
    if not jnp.issubdtype(jnp.result_type(pixels), jnp.integer):
        raise TaskError(f"random_translate needs a whole number of `pixels`, got {pixels=}.")
    if not isinstance(pixels, jax.core.Tracer) and pixels < 0:
        raise TaskError(f"random_translate needs `pixels` >= 0, got {pixels=}.")

    def move(x: Array, shift: Array) -> Array:
        rows = jnp.clip(jnp.arange(x.shape[0]) - shift[0], 0, x.shape[0] - 1)
        columns = jnp.clip(jnp.arange(x.shape[1]) - shift[1], 0, x.shape[1] - 1)
        return x[rows][:, columns]

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "random_translate")
        shifts = jax.random.randint(key, (x.shape[0], 2), -pixels, pixels + 1)
        return batch._replace(inputs=jax.vmap(move)(x, shifts))

    return apply
