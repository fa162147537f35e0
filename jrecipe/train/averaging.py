"""Averages of the weights over updates, kept inside the optimiser's state.

So they advance on the one clock of the optimiser, whatever the loop around it does, are saved and
resumed with everything else, and need no code in the step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jrecipe.types import Array, PyTree, TaskError


class AverageState(NamedTuple):
    """State of `ema` and `swa`.

    Attributes:
      count: int32[], updates seen.
      weight: float32[], sum of the weights that the average gives to them; 0 before the first.
      average: as the parameters, float32: the weighted sum.
    """

    count: Array
    weight: Array
    average: PyTree


def ema(decay: float = 0.999) -> optax.GradientTransformation:
    """Keeps an exponential moving average of the weights; the last link of an `optax.chain`.

    After update t it holds `sum_i (1 - decay) decay^(t - i) weights_i`, which `averaged` divides by
    the sum of its factors, so that it is a mean of real weights from the first update on and knows
    nothing of the random start.

    Args:
      decay: of an older weight per update, 0 to 1; 0.999 looks back about 1000 updates.

    Raises:
      TaskError: if `decay` is not in [0, 1).

    References:
      Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992; the
      division is that of Kingma and Ba, "Adam", 2015, section 3.

    Example:
      >>> tx = optax.chain(optax.sgd(0.1), ema(0.9))
      >>> params = {"w": jnp.ones(())}
      >>> state = tx.init(params)
      >>> updates, state = tx.update({"w": jnp.ones(())}, state, params)
      >>> round(float(averaged(state, params)["w"]), 4)  # after one update: the weights themselves
      0.9
    """
    if not 0 <= decay < 1:
        raise TaskError(f"ema needs a decay from 0 to below 1, got {decay!r}; 0.999 is usual.")
    return _averaging(lambda count: (decay, 1.0 - decay))


def swa(start: int = 0, every: int = 1) -> optax.GradientTransformation:
    """Keeps the plain mean of the weights after every `every`-th update from `start` on.

    Args:
      start: the first update that counts, >= 1, or 0 for all; three quarters of the run is usual.
      every: updates between two that count, >= 1; the updates of an epoch are usual.

    Raises:
      TaskError: if an argument is out of range.

    References:
      Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.
      BatchNorm statistics do not belong to averaged weights; recompute them, as the paper does.
    """
    if start < 0 or every < 1:
        raise TaskError(f"swa needs start >= 0 and every >= 1, got {start=}, {every=}.")

    def factors(count: Array) -> tuple[float, Array]:
        counts = (count >= start) & ((count - start) % every == 0)
        return 1.0, counts.astype(jnp.float32)

    return _averaging(factors)


def _averaging(factors: Any) -> optax.GradientTransformation:
    """Builds the transformation; `factors(count)` are those of the old sum and the new weights."""

    def init(params: PyTree) -> AverageState:
        zeros = jax.tree.map(lambda x: jnp.zeros(jnp.shape(x), jnp.float32), params)
        return AverageState(jnp.zeros((), jnp.int32), jnp.zeros(()), zeros)

    def update(
        updates: PyTree, state: AverageState, params: PyTree = None
    ) -> tuple[PyTree, AverageState]:
        if params is None:
            raise TaskError(
                "An average of weights needs them: call tx.update(grads, state, params)."
            )
        count = optax.safe_increment(state.count)  # a run of weeks may outgrow an int32
        old, new = factors(count)
        moved = optax.apply_updates(params, updates)
        average = jax.tree.map(
            lambda a, x: old * a + new * x.astype(jnp.float32), state.average, moved
        )
        return updates, AverageState(count, old * state.weight + new, average)

    return optax.GradientTransformation(init, update)


def averaged(opt_state: optax.OptState, params: PyTree) -> PyTree:
    """Returns the averaged weights that an optimiser with `ema` or `swa` holds.

    Args:
      opt_state: its state.
      params: the parameters; those that the optimiser does not train, and all of them before
        anything was averaged, are returned as they are.

    Returns:
      A tree as `params`, with their dtypes.

    Raises:
      TaskError: if the optimiser keeps no average, or more than one.
    """

    def is_average(node: Any) -> bool:
        return isinstance(node, AverageState)

    leaves = jax.tree.leaves(opt_state, is_leaf=is_average)
    found = [leaf for leaf in leaves if is_average(leaf)]
    if len(found) != 1:
        raise TaskError(
            f"averaged found {len(found)} averages in the optimizer's state; end the chain with "
            "one, as optax.chain(optax.adam(1e-3), jr.train.ema())."
        )
    state = found[0]
    weight = jnp.maximum(state.weight, 1e-30)

    def mean(param: Array, total: Any) -> Array:
        if isinstance(total, optax.MaskedNode):
            return param
        return jnp.where(state.weight > 0, total / weight, param).astype(param.dtype)

    return jax.tree.map(mean, params, state.average)
