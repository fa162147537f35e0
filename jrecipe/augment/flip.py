"""Mirroring pictures left to right (D2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.pictures import pictures_of
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def random_flip(p: float | Array = 0.5) -> Augment:
    """Mirrors each picture left-right, independently; keeps shapes, dtypes and targets.

    Args:
      p: chance that one picture is mirrored, in [0, 1]. May be traced.

    Raises:
      TaskError: if `p` is not a probability, or later if the inputs are no pictures.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.arange(3.0).reshape(1, 1, 3, 1), jnp.array([7]), jnp.ones(1))
      >>> random_flip(p=1.0)(jax.random.key(0), batch).inputs.ravel().tolist()
      [2.0, 1.0, 0.0]
    """
    if not isinstance(p, jax.core.Tracer) and not 0.0 <= p <= 1.0:
        raise TaskError(f"random_flip needs a probability `p` in [0, 1], got {p=}.")

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "random_flip")
        flip = jax.random.bernoulli(key, p, (x.shape[0], 1, 1, 1))
        return batch._replace(inputs=jnp.where(flip, x[:, :, ::-1, :], x))

    return apply
