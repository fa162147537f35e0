"""What every network for token ids asks of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.types import TaskError


def check_tokens(inputs: jax.Array, owner: str) -> None:
    """Raises TaskError unless `inputs` are token ids int[b, t]."""
    if inputs.ndim != 2 or not jnp.issubdtype(inputs.dtype, jnp.integer):
        raise TaskError(
            f"{owner} needs token ids int[b, t], got {inputs.dtype}{list(inputs.shape)}; number "
            "the tokens from 0 and pad the rows to one length."
        )
