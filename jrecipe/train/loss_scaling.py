"""Loss scaling: gradients that float16 can hold, and no update from those that it could not.

The factor lives in the optimiser's state, so it is saved and resumed with everything else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jrecipe.types import Array, PyTree, TaskError

_LARGEST = 2.0**24


class LossScaleState(NamedTuple):
    """State of `loss_scaled`.

    Attributes:
      scale: float32[], by which the loss is multiplied before the backward pass, a power of two.
      good: int32[], finite updates since it last changed.
      inner: state of the optimiser.
    """

    scale: Array
    good: Array
    inner: optax.OptState


def loss_scaled(
    tx: optax.GradientTransformation, start: float = 2.0**15, every: int = 2_000
) -> optax.GradientTransformationExtraArgs:
    """Trains in float16: the step multiplies the loss, and an update that overflowed is left out.

    `make_update`, and so `fit`, multiply the loss by `loss_scale(opt_state)` before the backward
    pass and divide the gradient by it in float32. If that is not finite everywhere, the parameters,
    the network's other state and the state of `tx` stay, and the factor is halved, down to 1; after
    `every` finite updates it is doubled.

    Args:
      tx: the optimiser, whose averages and schedules count the updates that were made.
      start: the first factor, >= 1; a power of two, which changes no digit.
      every: finite updates before the factor is doubled, >= 1.

    Raises:
      TaskError: if an argument is out of range.

    References:
      Micikevicius et al., "Mixed Precision Training", 2018, section 3.2.
    """
    if start < 1 or every < 1:
        raise TaskError(f"loss_scaled needs start >= 1 and every >= 1, got {start=}, {every=}.")
    tx = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> LossScaleState:
        scale = jnp.asarray(start, jnp.float32)
        return LossScaleState(scale, jnp.zeros((), jnp.int32), tx.init(params))

    def update(
        grads: PyTree, state: LossScaleState, params: PyTree = None, **extra: Any
    ) -> tuple[PyTree, LossScaleState]:
        finite = all_finite(grads)
        updates, inner = tx.update(grads, state.inner, params, **extra)
        updates = jax.tree.map(lambda x: jnp.where(finite, x, jnp.zeros_like(x)), updates)
        good = jnp.where(finite, state.good + 1, 0)
        larger = jnp.where(good == every, jnp.minimum(2 * state.scale, _LARGEST), state.scale)
        scale = jnp.where(finite, larger, jnp.maximum(state.scale / 2, 1.0))
        return updates, LossScaleState(scale, good % every, keep_if(finite, inner, state.inner))

    return optax.GradientTransformationExtraArgs(init, update)


def loss_scale(opt_state: optax.OptState) -> Array | None:
    """Returns the factor of the loss float32[], None if the optimiser is not `loss_scaled`.

    Args:
      opt_state: its state.
    """

    def scales(node: Any) -> bool:
        return isinstance(node, LossScaleState)

    found = [leaf for leaf in jax.tree.leaves(opt_state, is_leaf=scales) if scales(leaf)]
    return found[0].scale if found else None


def all_finite(tree: PyTree) -> Array:
    """Returns bool[]: whether no number in a tree is infinite or NaN."""
    return jnp.all(jnp.array([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]))


def keep_if(condition: Array, new: PyTree, old: PyTree) -> PyTree:
    """Returns `new` where bool[] `condition` holds, else `old`; trees of the same structure."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
