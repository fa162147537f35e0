"""Why a parameter gets no gradient, found by interventions (G18).

If no way leads from it to the outputs, or replacing it changes no output, it is unused. If outputs
change but the gradient is zero, it is cut off, or the units behind it are dead; or the loss leaves
out what changed, or has no gradient in any output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.dead_units import dead_layers
from jrecipe.checks.network_layers import layers_of
from jrecipe.checks.probing import disagreement, rounding
from jrecipe.checks.program_walk import trace
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.types import Array, PyTree

Reason = Literal["unused", "unfed", "unselected", "not-in-loss", "cut", "dead", "normalised"]


def unreached(context: Context) -> set[str]:
    """Returns the parameters from which no way leads to the outputs, in either mode."""
    assert context.model is not None
    model, (params, state) = context.model, context.variables()
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    inputs, found = context.batch().inputs, set(paths)
    for train in (False, True):
        options = {"key": context.key, "train": True} if train else {}
        program = trace(
            lambda p, s, x, options=options: model.apply(p, s, x, **options)[0],
            params,
            state,
            inputs,
        )
        needed = program.needed()
        found &= {path for path, i in zip(paths, program.inputs, strict=False) if i not in needed}
    return found


def reason_of(context: Context, name: str, tried: Sequence[tuple[PyTree, PyTree]]) -> Reason:
    """Returns why a parameter that is part of the program gets no gradient."""
    batch, changes = context.batch(), {"train": False, "evaluation": False, "loss": False}
    part = _part(context)
    tolerance = rounding(context)
    for params, state in tried:
        other = _replaced(params, name, context.seed)
        for train in (False, True):
            run = [
                context.apply(p, state, batch.inputs, context.key, train, part if train else ())[0]
                for p in (params, other)
            ]
            gap = disagreement(*run)
            mode = "train" if train else "evaluation"
            changes[mode] |= gap > (tolerance if train else 0.0)
            if gap > tolerance:
                values = [np.asarray(context.losses(x, batch.targets)[0]) for x in run]
                changes["loss"] |= not np.array_equal(values[0], values[1])
    if changes["evaluation"] and not changes["train"]:
        return "normalised"  # as a bias before BatchNorm
    dead = any(share == 1.0 for _, share in dead_layers(context, tried[0]))
    if not changes["evaluation"] and not changes["train"]:
        if dead:
            return "dead"
        return "unfed" if _unfed(context, name, tried[0]) else "unselected"
    if not changes["loss"]:
        return "not-in-loss"
    return "dead" if dead else "cut"


def without_effect(context: Context, name: str, variables: tuple[PyTree, PyTree]) -> bool:
    """Tells whether other values of a parameter change outputs by rounding only, in either mode."""
    params, state = variables
    inputs, part = context.batch().inputs, _part(context)
    for seed in range(2):
        other = _replaced(params, name, context.seed + seed)
        for train in (False, True):
            a, b = (
                context.apply(p, state, inputs, context.key, train, part if train else ())[0]
                for p in (params, other)
            )
            if disagreement(a, b) > 0.1 * rounding(context):
                return False
    return True


def _replaced(params: PyTree, name: str, seed: int) -> PyTree:
    """Returns parameters of which one has quite other values."""
    rng = np.random.default_rng((seed % 2**32, 23))

    def change(path: Any, leaf: Array) -> Array:
        if path_name(path) != name:
            return leaf
        values = np.asarray(leaf).astype(np.float64)
        noise = rng.normal(size=values.shape) * (values.std() + 0.5)
        return jnp.asarray((values + noise).astype(leaf.dtype))

    return jax.tree_util.tree_map_with_path(change, params)


def _part(context: Context) -> tuple[str, ...]:
    assert context.model is not None
    return ("dropout",) if context.model.without is not None else ()


def _unfed(context: Context, name: str, variables: tuple[PyTree, PyTree]) -> bool:
    """Tells whether all that a parameter is multiplied with is exactly 0."""
    layers = layers_of(context)
    if layers is None:
        return False
    entering = layers.sizes(variables).entering
    own = [i for i, product in enumerate(layers.flow.products) if name in product.leaves]
    return bool(own) and all(entering[i] == 0 for i in own)


def loss_blind(context: Context, variables: tuple[PyTree, PyTree]) -> bool:
    """Tells whether the loss has no gradient in any output."""
    batch = context.batch()
    outputs = context.apply(*variables, batch.inputs, context.key)[0]
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(outputs)):
        return True
    grads = jit_once(jax.grad(lambda o: context.losses(o, batch.targets)[0].sum()))(outputs)
    return not any(np.asarray(x).any() for x in jax.tree.leaves(grads))
