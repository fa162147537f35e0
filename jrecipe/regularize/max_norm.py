"""Max-norm: after every update each unit's incoming weights lie inside a ball (H4)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.regularize.decay import Mask, decay_mask
from jrecipe.types import Array, PyTree, TaskError

_MARGIN = 1e-5  # how far inside the ball units are brought, so that rounding leaves none outside


def max_norm(
    limit: float = 5.0, *, unit_axis: int | Sequence[int] = -1, mask: Mask = decay_mask
) -> optax.GradientTransformation:
    """Limits the norm of the weights that enter each unit; the last link of an `optax.chain`.

    Whatever came before in the chain, an update that would take a unit's norm above `limit` ends on
    the sphere instead: the unit's weights are scaled down, their direction stays. Other units move
    to the bit as without it. Weights that start outside are brought in by the first update.

    The limit holds for the weights that `optax.apply_updates` returns, rounding included: units are
    brought to `limit * (1 - 1e-5)` (two roundings lower for bfloat16 and float16), and the error of
    subtracting and adding the old weights again is below 2e-7 times their norm. It takes one more
    update only where that was above about 50 times the limit before.

    Args:
      limit: largest Euclidean norm, > 0; 3 to 5 is usual together with dropout.
      unit_axis: axis, or axes, of an array that count its units; the norm is taken over all others.
        -1 suits the kernels of Flax: [in, out] and [k, l, in, out]. Use 0 for [out, in], (0, -1)
        for layers stacked by `scan`.
      mask: which parameters are limited, see `decay_mask`; biases and vectors never are.

    Raises:
      TaskError: if `limit` is not positive; from `update`, if it is called without `params` or an
        array has no such axis.

    References:
      Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014,
      section 5.1.

    Example:
      >>> tx = optax.chain(optax.sgd(1.0), max_norm(5.0))
      >>> params = {"kernel": jnp.array([[3.0, 0.0], [4.0, 1.0]])}  # norms 5 and 1
      >>> grads = {"kernel": jnp.array([[-3.0, 0.0], [-4.0, -1.0]])}
      >>> updates, _ = tx.update(grads, tx.init(params), params)
      >>> print(optax.apply_updates(params, updates)["kernel"].round(2))
      [[3. 0.]
       [4. 2.]]
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float | np.number) or not limit > 0:
        raise TaskError(f"max_norm needs a limit > 0, got {limit!r}; try 5.0.")
    axes = (unit_axis,) if isinstance(unit_axis, int) else tuple(unit_axis)

    def init(params: PyTree) -> optax.EmptyState:
        del params
        return optax.EmptyState()

    def update(
        updates: PyTree, state: optax.EmptyState, params: PyTree = None
    ) -> tuple[PyTree, optax.EmptyState]:
        if params is None:
            raise TaskError(
                "max_norm needs the parameters; call tx.update(grads, opt_state, params)."
            )
        return jax.tree.map(lambda u, w: _held(u, w, limit, axes), updates, params), state

    return optax.masked(optax.GradientTransformation(init, update), _matrices(mask))


def _held(update: Array, weight: Array, limit: float, unit_axes: Sequence[int]) -> Array:
    """Returns the update that leaves no unit above the limit."""
    if any(not -weight.ndim <= axis < weight.ndim for axis in unit_axes):
        raise TaskError(
            f"max_norm got unit_axis={tuple(unit_axes)!r} for a weight of shape {weight.shape}; "
            "name axes that it has, or leave it out by `mask`."
        )
    units = {axis % weight.ndim for axis in unit_axes}
    summed = tuple(axis for axis in range(weight.ndim) if axis not in units)
    wide = jnp.promote_types(weight.dtype, jnp.float32)
    old = weight.astype(wide)
    new = old + update.astype(wide)
    norm = jnp.sqrt(jnp.sum(jnp.square(new), axis=summed, keepdims=True))
    target = limit * (1 - max(_MARGIN, 2 * float(jnp.finfo(weight.dtype).eps)))
    scaled = new * (target / jnp.maximum(norm, target))
    return jnp.where(norm > target, scaled - old, update.astype(wide)).astype(update.dtype)


def _matrices(mask: Mask) -> Mask:
    """Returns the mask without what has fewer than two axes."""

    def chosen(params: PyTree) -> PyTree:
        def of_branch(use: bool, branch: PyTree) -> PyTree:  # a mask may name a whole branch
            return jax.tree.map(lambda leaf: bool(use) and np.ndim(leaf) >= 2, branch)

        return jax.tree.map(of_branch, mask(params) if callable(mask) else mask, params)

    return chosen
