"""Runs of tokens that may not be written twice (J5)."""

from __future__ import annotations

import jax.numpy as jnp

from jrecipe.types import Array


def without_repeats(said: Array, ids: Array, position: Array, size: int) -> Array:
    """Returns log-probabilities with -inf for tokens that would write a run a second time.

    Args:
      said: of the next token, float32[b, k, v].
      ids: tokens written so far, int32[b, k, length], in the first `position` places.
      position: int32[], how many are written.
      size: tokens of a run; 0 allows every repeat, 1 no token twice.

    References:
      Paulus et al., "A Deep Reinforced Model for Abstractive Summarization", 2018,
      arXiv:1705.04304, section 2.5 (runs of three).
    """
    length = ids.shape[-1]
    if not 0 < size <= length:
        return said
    starts = length - size + 1
    last = position - (size - 1) + jnp.arange(size - 1)  # places of the run's tokens but its end
    tail = jnp.take(ids, jnp.maximum(last, 0), axis=-1)
    runs = jnp.stack([ids[..., i : i + starts] for i in range(size)], axis=-1)
    again = jnp.all(runs[..., :-1] == tail[..., None, :], axis=-1)
    there = (jnp.arange(starts) + size <= position) & (position >= size - 1)
    rows, beams = jnp.ogrid[: ids.shape[0], : ids.shape[1]]
    barred = jnp.where(again & there[None, None], -jnp.inf, jnp.inf)
    return jnp.asarray(said).at[rows[..., None], beams[..., None], runs[..., -1]].min(barred)
