"""From one vector per token to one per text, or one per word."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from jrecipe.types import TaskError

Pool = Literal["cls", "mean"]


def pool_tokens(features: jax.Array, mask: jax.Array, pool: Pool) -> jax.Array:
    """Returns one vector per text, [b, d].

    Args:
      features: of the tokens, [b, t, d].
      mask: bool[b, t], True on real tokens.
      pool: "cls", the vector of the first token, which BERT keeps for this; "mean", of the real
        tokens, summed in float32; 0 for a row that has none.

    Raises:
      TaskError: if `pool` is neither, or the mask does not fit.
    """
    if mask.shape != features.shape[:2]:
        raise TaskError(
            f"mask needs shape {list(features.shape[:2])}, as the tokens, got {list(mask.shape)}; "
            "give True or False for each token."
        )
    if pool == "cls":
        return features[:, 0]
    if pool != "mean":
        raise TaskError(f"pool needs 'cls' or 'mean', got {pool!r}; try 'cls'.")
    real = mask.astype(bool)[:, :, None]
    total = jnp.sum(jnp.where(real, features, 0), axis=1, dtype=jnp.float32)
    count = jnp.maximum(jnp.sum(real, axis=1, dtype=jnp.float32), 1.0)
    return (total / count).astype(features.dtype)


def pick_words(features: jax.Array, words: jax.Array) -> jax.Array:
    """Returns the vector of each word's first token, [b, w, d]; 0 at padding.

    Args:
      features: of the tokens, [b, t, d].
      words: position of the first token of each word int[b, w], -1 for padding.

    Raises:
      TaskError: if `words` does not fit.
    """
    count = features.shape[0]
    if words.ndim != 2 or words.shape[0] != count:
        raise TaskError(
            f"words need shape [{count}, w], a position per word, got {list(words.shape)}; "
            "give the position of each word's first token, -1 for padding."
        )
    picked = jnp.take_along_axis(features, jnp.maximum(words, 0)[:, :, None], axis=1)
    return jnp.where((words >= 0)[:, :, None], picked, 0)


def text_part(inputs: Any, part: str, network: str) -> Any:
    """Returns `inputs[part]`, or raises TaskError with what the network needs."""
    if not isinstance(inputs, dict) or part not in inputs:
        got = sorted(inputs) if isinstance(inputs, dict) else type(inputs).__name__
        raise TaskError(f"{network} needs inputs with {part!r}, got {got}; add {part!r}.")
    return inputs[part]
