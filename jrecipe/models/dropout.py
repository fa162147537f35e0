"""Dropout of features, of channels and of whole branches (D9, H3).

Rates may be traced, so that runs with different rates share one program. Each layer draws one mask
of the whole batch's shape from one key, so the mask does not depend on how a mesh cuts the batch.
"""

from __future__ import annotations

from typing import Any

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


class SpatialDropout(nn.Module):
    """Drops whole channels of each example with chance `rate`, and scales the others up.

    Neighbouring pixels of a channel say much the same, so that dropping single ones takes little
    away. Also known as dropout2d.

    Attributes:
      rate: chance that a channel is dropped, in [0, 1); it may be traced.
      deterministic: True in evaluation; here or at the call.

    References:
      Tompson et al., "Efficient Object Localization Using Convolutional Networks", 2015,
      arXiv:1411.4280.
    """

    rate: Any
    deterministic: bool | None = None

    @nn.compact
    def __call__(self, inputs: jax.Array, deterministic: bool | None = None) -> jax.Array:
        """Returns `inputs` [b, ..., c] with channels dropped, unless `deterministic`."""
        off = nn.merge_param("deterministic", self.deterministic, deterministic)
        shared = tuple(range(1, inputs.ndim - 1))
        return Dropout(self.rate, shared, name="dropout")(inputs, deterministic=off)


class StochasticDepth(nn.Module):
    """Drops the residual branch of whole examples with chance `rate`, and scales the others up.

    As `x + StochasticDepth(rate)(branch(x), deterministic=not train)`: the examples of a batch see
    networks of different depths, and evaluation the whole one. Kept branches are divided by
    `1 - rate` in training, so that evaluation needs no factor. The paper lets the rate grow
    linearly from 0 before the first block to 0.5 at the last.

    Attributes:
      rate: chance that the branch is dropped, in [0, 1); it may be traced.
      deterministic: True in evaluation; here or at the call.

    References:
      Huang et al., "Deep Networks with Stochastic Depth", 2016, arXiv:1603.09382.
    """

    rate: Any
    deterministic: bool | None = None

    @nn.compact
    def __call__(self, branch: jax.Array, deterministic: bool | None = None) -> jax.Array:
        """Returns `branch` [b, ...], 0 for the examples that skip it, unless `deterministic`."""
        off = nn.merge_param("deterministic", self.deterministic, deterministic)
        shared = tuple(range(1, branch.ndim))
        return Dropout(self.rate, shared, name="dropout")(branch, deterministic=off)


def _traced(rate: object) -> bool:
    return isinstance(rate, jax.core.Tracer)
