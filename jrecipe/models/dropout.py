"""Dropout whose rate may be traced, so that runs with different rates share one program (D9)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp


class Dropout(nn.Dropout):
    """Drops each feature with chance `rate` in training and scales the others up.

    As `flax.linen.Dropout`, but `rate` may be a traced number: the arms of one vmapped program can
    each have their own.

    References:
      Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
    """

    @nn.compact
    def __call__(
        self, inputs: jax.Array, deterministic: bool | None = None, rng: jax.Array | None = None
    ) -> jax.Array:
        """Returns `inputs` with features dropped, unless `deterministic`."""
        if not _traced(self.rate):
            return super().__call__(inputs, deterministic, rng)
        if nn.merge_param("deterministic", self.deterministic, deterministic):
            return inputs
        keep = 1.0 - jnp.asarray(self.rate)
        key = self.make_rng(self.rng_collection) if rng is None else rng
        shared = {axis % inputs.ndim for axis in self.broadcast_dims}
        shape = [1 if axis in shared else size for axis, size in enumerate(inputs.shape)]
        mask = jnp.broadcast_to(jax.random.bernoulli(key, keep, shape), inputs.shape)
        return jnp.where(mask, inputs / keep.astype(inputs.dtype), jnp.zeros_like(inputs))


def _traced(rate: object) -> bool:
    return isinstance(rate, jax.core.Tracer)
