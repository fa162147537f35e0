"""Decay towards the starting point instead of towards zero, for fine-tuning (D10, J1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.regularize.decay import Mask, decay_mask, path_name, require_strength
from jrecipe.types import Array, PyTree, TaskError


class PullState(NamedTuple):
    """State of `l2_sp`.

    Attributes:
      anchor: as the parameters: where each is pulled to.
    """

    anchor: PyTree


def l2_sp(
    start_params: PyTree, weight: float, *, new_weight: float = 0.0, mask: Mask = decay_mask
) -> optax.GradientTransformation:
    """Adds the gradient of `weight / 2 * |w - w_start|^2`; the first link of a chain.

    Plain decay pulls pre-trained weights away from what they know; this keeps them near it.
    The starting weights are kept in the optimiser's state, so they cost the memory of one copy, and
    a resumed run is pulled to where the first one began.

    Args:
      start_params: pre-trained parameters. A parameter that they lack, by path or with this shape,
        is new (as a swapped head).
      weight: strength, >= 0; 1e-3 to 1e-1 is usual.
      new_weight: pull of new parameters towards zero, >= 0.
      mask: which parameters are pulled, see `decay_mask`.

    Raises:
      TaskError: if a strength is negative; from `init`, if no parameter has a starting point.

    References:
      Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional
      Networks", 2018, arXiv:1802.01483.

    Example:
      >>> start = {"kernel": jnp.ones((1, 2))}
      >>> tx = optax.chain(l2_sp(start, weight=0.5), optax.sgd(1.0))
      >>> params = {"kernel": jnp.array([[1.0, 3.0]])}
      >>> still = {"kernel": jnp.zeros((1, 2))}
      >>> tx.update(still, tx.init(params), params)[0]["kernel"].tolist()
      [[-0.0, -1.0]]
    """
    require_strength("l2_sp", "weight", weight, "0.01")
    require_strength("l2_sp", "new_weight", new_weight, "0.01")
    start = {path_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(start_params)}

    def known(path: Sequence[Any], leaf: Array) -> bool:
        return path_name(path) in start and np.shape(start[path_name(path)]) == np.shape(leaf)

    def init(params: PyTree) -> PullState:
        given = jax.tree_util.tree_leaves_with_path(params)
        if given and not any(known(path, leaf) for path, leaf in given):
            raise TaskError(
                f"l2_sp got start_params with none of the parameters; they have {_some(start)}, "
                f"the network {_some([path_name(path) for path, _ in given])}. Give the parameters "
                "that training starts from."
            )

        def anchor(path: Sequence[Any], leaf: Array) -> Array:
            # A copy: a step donates its state, and one buffer cannot be given twice.
            at = start[path_name(path)] if known(path, leaf) else jnp.zeros_like(leaf)
            return jnp.array(at, dtype=leaf.dtype, copy=True)

        return PullState(jax.tree_util.tree_map_with_path(anchor, params))

    def update(
        updates: PyTree, state: PullState, params: PyTree = None
    ) -> tuple[PyTree, PullState]:
        if params is None:
            raise TaskError("l2_sp needs the parameters; call tx.update(grads, opt_state, params).")

        def pulled(path: Sequence[Any], grad: Array, w: Array, at: Array) -> Array:
            strength = weight if known(path, w) else new_weight
            return (grad + strength * (w - at)).astype(grad.dtype)

        return jax.tree_util.tree_map_with_path(pulled, updates, params, state.anchor), state

    return optax.masked(optax.GradientTransformation(init, update), mask)


def _some(names: Any) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
