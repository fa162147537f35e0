"""The parameters of a task by path: values, gradients, and how findings name them (G18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.train.frozen import path_name
from jrecipe.types import Batch, PyTree

ITEM, CHECK = "G18", "gradient-flow"
Leaves = Mapping[str, np.ndarray]  # path -> array
SEEDS = 3  # other seeds under which a parameter must be without a gradient too


def by_path(params: PyTree) -> dict[str, np.ndarray]:
    """Returns the values of the floating parameters by path, float64."""
    return {
        path_name(path): np.array(leaf, np.float64)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }


def other_params(context: Context) -> list[PyTree]:
    """Returns the parameters that other seeds start from."""
    return [jax.tree.map(jnp.asarray, params) for params, _ in context.other_inits[:SEEDS]]


def loss_gradient(context: Context) -> Callable[[PyTree, PyTree, Batch], tuple[float, Leaves]]:
    """Returns `(params, state, batch) -> (loss, gradients by path)`, in training, dropout out."""

    def gradient(params: PyTree, state: PyTree, batch: Batch) -> tuple[float, Leaves]:
        value, grads = context.gradient(params, state, batch)
        pairs = jax.tree_util.tree_leaves_with_path(grads)
        return float(value), {
            path_name(path): np.asarray(leaf).astype(np.float64)
            for path, leaf in pairs
            if leaf.dtype != jax.dtypes.float0 and leaf.size
        }

    return gradient


def places(names: Sequence[str]) -> str:
    """Names up to four parameters, kernels first."""
    ordered = sorted(names, key=lambda name: name.rsplit("/", 1)[-1] in ("bias", "b", "scale"))
    return ", ".join(ordered[:4]) + (", ..." if len(ordered) > 4 else "")
