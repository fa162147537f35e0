"""Positions as learned numbers that attention adds for each distance between two tokens (J6)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import TaskError


def buckets_of_distances(length: int, buckets: int, farthest: int) -> np.ndarray:
    """Returns int32[length], the bucket of each distance 0 .. length - 1.

    The first half of the buckets are distances of their own; the others grow logarithmically up to
    `farthest`, behind which all distances share the last.

    Args:
      length: how many distances.
      buckets: how many there are, at least 2.
      farthest: distance from which on the last bucket is used, above `buckets // 2`.

    Raises:
      TaskError: for too few buckets, or a `farthest` that the first half reaches already.

    References:
      Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
      Transformer", 2020, arXiv:1910.10683, section 2.1.

    Example:
      >>> buckets_of_distances(12, 6, 12).tolist()
      [0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 5, 5]
    """
    exact = buckets // 2
    if exact < 1:
        raise TaskError(f"relative positions need at least 4 buckets, got {2 * buckets}; try 32.")
    if farthest <= exact:
        raise TaskError(
            f"relative positions need a farthest distance above {exact} for so many buckets, got "
            f"{farthest}; try {4 * buckets}."
        )
    distances = np.arange(length, dtype=np.int32)
    # In float32, whose rounding at the borders is part of the weights that were trained with it.
    ratio = np.maximum(distances, 1).astype(np.float32) / np.float32(exact)
    steps = np.log(ratio) / np.float32(np.log(farthest / exact)) * np.float32(buckets - exact)
    coarse = np.minimum(exact + steps.astype(np.int32), buckets - 1)
    return np.where(distances < exact, distances, coarse).astype(np.int32)


class RelativePositions(nn.Module):
    """A number for each head and each bucket of `position of key - position of query`.

    Attributes:
      heads: of the attention.
      causal: keys behind the query are not looked at, so that all buckets tell distances before it;
        otherwise each direction has half of them.
      buckets: in all, at least 4.
      farthest: distance from which on all share a bucket.
      width: of the network, for the initialisation.
    """

    heads: int
    causal: bool
    buckets: int = 32
    farthest: int = 128
    width: int = 512

    def setup(self) -> None:
        """Makes the table."""
        init = nn.initializers.normal(self.width**-0.5)
        self.embedding = self.param("embedding", init, (self.buckets, self.heads))

    def __call__(self, length: int) -> jax.Array:
        """Returns float32[1, heads, length, length], to be added to queries x keys."""
        away = np.arange(length)[None, :] - np.arange(length)[:, None]
        if self.causal:
            found = self._table(length)[np.maximum(-away, 0)]
        else:
            found = self._table(length)[np.abs(away)] + (away > 0) * (self.buckets // 2)
        return jnp.moveaxis(self.embedding[found], -1, 0)[None]

    def row(self, position: jax.Array, length: int) -> jax.Array:
        """Returns float32[1, heads, 1, length]: the row of one query, int32[], when `causal`."""
        away = jnp.maximum(position - jnp.arange(length), 0)
        found = jnp.asarray(self._table(length))[away]
        return self.embedding[found].T[None, :, None, :]

    def _table(self, length: int) -> np.ndarray:
        each = self.buckets if self.causal else self.buckets // 2
        return buckets_of_distances(length, each, self.farthest)
