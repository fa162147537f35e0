"""How much of an update is due to the weights and not to the gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.train.compiled import jit_once
from jrecipe.types import PyTree

CALLS = 8  # of the optimiser with one gradient; more than most accumulate


def decay_share(tx: optax.GradientTransformation, grads: PyTree, params: PyTree) -> float:
    """Measures how much of the first update is due to the weights and not to the gradient.

    The update for `(grads, params)` is compared with that for `(grads, zeros)`. Only directions
    count, per leaf, so optimisers that scale with the size of the weights (LARS, LAMB) show none.

    Args:
      tx: the optimiser, decoupled or coupled decay inside or not.
      grads: a gradient.
      params: the weights.

    Returns:
      1 - cosine between the two, averaged over leaves with the size of the leaf; 0 without decay,
      about 1 and above when decay decides the direction.
    """

    def travelled(weights: PyTree) -> PyTree:
        def call(state: optax.OptState, _: None) -> tuple[optax.OptState, PyTree]:
            updates, state = tx.update(grads, state, weights)
            return state, updates

        # Several calls, as warm-up and gradient accumulation give no update at the first.
        updates = jax.lax.scan(call, tx.init(weights), None, length=CALLS)[1]
        return jax.tree.map(lambda x: x.sum(axis=0), updates)

    def shares(params: PyTree) -> list[tuple[jax.Array, jax.Array, jax.Array]]:
        pairs = zip(
            jax.tree.leaves(travelled(params)),
            jax.tree.leaves(travelled(jax.tree.map(jnp.zeros_like, params))),
            strict=True,
        )
        flat = [(a.ravel().astype(jnp.float32), b.ravel().astype(jnp.float32)) for a, b in pairs]
        return [(a @ b, jnp.linalg.norm(a), jnp.linalg.norm(b)) for a, b in flat]

    sizes = [np.size(x) for x in jax.tree.leaves(params)]
    total = share = 0.0
    for (product, a, b), size in zip(jit_once(shares)(params), sizes, strict=True):
        length = float(a) * float(b)
        total += size
        share += size * (1.0 - float(product) / length if length > 0 else 0.0)
    return share / max(total, 1.0)
