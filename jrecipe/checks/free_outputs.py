"""How low can a loss get if its outputs may be anything (B8)?

A loss of smoothed labels does not reach 0, and says so by itself: left free, outputs come to rest
at finite values, from where the loss rises to all sides. A loss that is broken, as one that takes a
softmax of probabilities, pulls them towards infinity instead; its floor is nothing to be content
with.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array, LossFunction, PyTree

STEPS = 200  # of the minimiser, at most
_MOST = 20_000  # numbers in the outputs


def resting_loss(loss: LossFunction, outputs: PyTree, targets: PyTree) -> float | None:
    """Returns the mean loss where free outputs come to rest, None if they do not.

    Args:
      loss: `(outputs, targets) -> float[b]`, or with weights.
      outputs: where to start, float[b, ...].
      targets: of the same examples.

    Example:
      >>> near = lambda x, y: (x - y) ** 2 + 0.25
      >>> round(resting_loss(near, np.zeros(3), np.arange(3.0)), 3)
      0.25
      >>> flat = lambda x, y: 0.5 + jnp.exp(-x)
      >>> resting_loss(flat, np.zeros(3), np.arange(3.0)) is None
      True
    """
    from scipy.optimize import minimize

    leaves, tree = jax.tree.flatten(outputs)
    if len(leaves) != 1 or np.size(leaves[0]) > _MOST:
        return None
    shape, dtype = np.shape(leaves[0]), jnp.float32
    targets = jax.tree.map(jnp.asarray, targets)

    def mean(x: Array) -> Array:
        value, weight = losses.weighted(loss, jax.tree.unflatten(tree, [x]), targets)
        return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

    both = jit_once(jax.value_and_grad(mean))

    def ask(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = both(jnp.asarray(x.reshape(shape), dtype))
        return float(value), np.asarray(slope, np.float64).ravel()

    begin = np.asarray(leaves[0], np.float64).ravel()
    start = ask(begin)[0]
    found = minimize(ask, begin, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    fallen = start - found.fun
    if not np.isfinite(found.fun) or not np.isfinite(found.x).all():
        return None
    centre = found.x.reshape(shape).mean(axis=0).ravel()
    away = found.x - np.resize(centre, found.x.shape)
    further = ask(found.x + 2.0 * away)[0]
    rises = further - found.fun
    return float(found.fun) if rises > 0.02 * max(fallen, 1e-6) else None
