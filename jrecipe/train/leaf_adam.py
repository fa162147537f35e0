"""Adam that knows since when each leaf is trained."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jrecipe.types import Array, PyTree


class LeafAdamState(NamedTuple):
    """State of `scale_by_leaf_adam`.

    Attributes:
      count: as the parameters, int32[] each: updates that the leaf has seen.
      mu: as the parameters: running mean of the gradient.
      nu: as the parameters: running mean of its square.
    """

    count: PyTree
    mu: PyTree
    nu: PyTree


def scale_by_leaf_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Returns `optax.scale_by_adam` with a count for each leaf.

    The moments begin at 0, which Adam corrects by the number of updates since. A leaf that joins
    late (`jr.train.Unfreezing`) has its own number; by that of a run of thousands of updates its
    first hundred would be 3 to 6.5 times too large (b1 = 0.9, b2 = 0.999).

    Args:
      b1: decay of the mean of the gradient, in [0, 1).
      b2: decay of the mean of its square, in [0, 1).
      eps: added to the root of the latter, > 0.

    References:
      Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, arXiv:1412.6980.
    """

    def init(params: PyTree) -> LeafAdamState:
        return LeafAdamState(
            count=jax.tree.map(lambda x: jnp.zeros((), jnp.int32), params),
            mu=jax.tree.map(jnp.zeros_like, params),
            nu=jax.tree.map(jnp.zeros_like, params),
        )

    def update(
        updates: PyTree, state: LeafAdamState, params: PyTree = None
    ) -> tuple[PyTree, LeafAdamState]:
        del params
        count = jax.tree.map(lambda n: n + 1, state.count)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.nu, updates)

        def scaled(n: Array, m: Array, v: Array) -> Array:
            t = n.astype(jnp.float32)
            root = jnp.sqrt(v / (1 - b2**t).astype(v.dtype))
            return m / (1 - b1**t).astype(m.dtype) / (root + eps)

        return jax.tree.map(scaled, count, mu, nu), LeafAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)
