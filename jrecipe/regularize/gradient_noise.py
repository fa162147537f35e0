"""Noise on gradients that fades with the updates (D, "noise on gradients")."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jrecipe.regularize.decay import require_strength
from jrecipe.types import Array, PyTree


class NoiseState(NamedTuple):
    """State of `gradient_noise`.

    Attributes:
      count: int32[], updates seen.
    """

    count: Array


def gradient_noise(eta: float, gamma: float = 0.55, seed: int = 0) -> optax.GradientTransformation:
    """Adds normal noise of variance `eta / (1 + t)^gamma` to the gradient of update t = 0, 1, ...

    The first link of a chain, or behind clipping. The noise is a function of (seed, update,
    parameter) alone, so a resumed run draws what it would have drawn, and every device draws the
    same. Runs of several seeds share it unless each is given a seed of its own here.

    Args:
      eta: variance at the first update, >= 0; the paper tries 0.01, 0.3 and 1.0.
      gamma: how fast it fades, >= 0; 0 keeps it.
      seed: decides the draws.

    Raises:
      TaskError: if `eta` or `gamma` is negative or not finite.

    References:
      Neelakantan et al., "Adding Gradient Noise Improves Learning for Very Deep Networks", 2015,
      arXiv:1511.06807. `optax.add_noise` has the same variances; its state carries a key.
    """
    require_strength("gradient_noise", "eta", eta, "0.01")
    require_strength("gradient_noise", "gamma", gamma, "0.55")

    def init(params: PyTree) -> NoiseState:
        del params
        return NoiseState(jnp.zeros((), jnp.int32))

    def update(
        updates: PyTree, state: NoiseState, params: PyTree = None
    ) -> tuple[PyTree, NoiseState]:
        del params
        key = jax.random.fold_in(jax.random.key(seed), state.count)
        # As uint32, for a run of weeks outgrows an int32, and no root is drawn of what is below 0.
        size = jnp.sqrt(eta / (1.0 + state.count.astype(jnp.uint32)) ** gamma)
        leaves, structure = jax.tree.flatten(updates)
        noisy = [
            (grad + size * jax.random.normal(jax.random.fold_in(key, i), grad.shape)).astype(
                grad.dtype
            )
            for i, grad in enumerate(leaves)
        ]
        return jax.tree.unflatten(structure, noisy), NoiseState(state.count + 1)

    return optax.GradientTransformation(init, update)
