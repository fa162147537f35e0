"""Random numbers: all that an augmentation needs for a batch, from one call.

One call is one program for the generator, which is most of what small augmentations cost to compile
and to run; and row `i` of the numbers is that of example `i`, on however many devices they lie.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.types import Array, Key


def draws(key: Key, b: int, n: int = 1) -> tuple[Array, ...]:
    """Draws `n` arrays float32[b], uniform in [0, 1), independent of one another."""
    numbers = jax.random.uniform(key, (b, n))
    return tuple(numbers[:, i] for i in range(n))


def symmetric(draw: Array, most: float | Array) -> Array:
    """Returns float32[b], uniform from -most to most."""
    return most * (2 * draw - 1)


def whole(draw: Array, n: int | Array) -> Array:
    """Returns int32[b], uniform in 0 .. n - 1."""
    return jnp.minimum(jnp.floor(draw * n).astype(jnp.int32), n - 1)
