"""Gradients for a trainer that does not show its own: from the declared model, or from `predict`.

Where the task has a model whose parameters are those of the trainer, the gradient is that of the
declared loss in training mode. Otherwise, where the trainer's state can be taken apart and put
together again with other parameters in it, `predict` can be differentiated.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.probing import disagreement, traceable
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array, Batch, Key, Model, PyTree

Leaves = list[np.ndarray]
Outputs = Callable[[list[Array], PyTree, PyTree, Key], tuple[PyTree, PyTree]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gradients:
    """Where gradients come from.

    Attributes:
      compute: `(leaves, state, inputs, targets, weights float32[b], key) -> (value float32[b],
        gradient leaves, state)`, compiled; the gradient is that of the mean of value * weights.
      outputs: `(leaves, state, inputs, key) -> (outputs, state)`, not compiled.
      state: what the network carries beside its parameters, at the start.
      declared: whether they are those of the declared model, in training mode.
      random: whether the declared network draws in training; `compute` then leaves that out.
      loss: of the task.
    """

    compute: Any
    outputs: Outputs
    state: PyTree
    declared: bool
    random: bool
    loss: Any

    def of(
        self, leaves: Sequence[np.ndarray], state: PyTree, batch: Batch, weights: Array, key: Key
    ) -> tuple[np.ndarray, Leaves, PyTree]:
        """Returns `(value float64[b], gradient of each leaf, state)` at given parameters."""
        weights = jnp.asarray(weights, jnp.float32)
        value, grads, state = self.compute(
            list(leaves), state, batch.inputs, batch.targets, weights, key
        )
        return np.asarray(value, np.float64), [np.asarray(g, np.float64) for g in grads], state

    def with_outputs(self, change: Callable[[PyTree], PyTree]) -> Gradients:
        """Returns the gradients of the loss of changed outputs."""

        def outputs(leaves: Any, state: PyTree, inputs: PyTree, key: Key) -> tuple[PyTree, PyTree]:
            result, state = self.outputs(leaves, state, inputs, key)
            return change(result), state

        return dataclasses.replace(self, outputs=outputs, compute=_compiled(outputs, self.loss))


def _compiled(outputs: Outputs, loss: Any) -> Any:
    """Compiles the gradient of the weighted mean loss of a batch."""

    def mean(
        leaves: Any, state: PyTree, inputs: PyTree, targets: PyTree, weights: Array, key: Key
    ) -> tuple[Array, tuple[Array, PyTree]]:
        result, state = outputs(leaves, state, inputs, key)
        value, weight = losses.weighted(loss, result, targets)
        total = jnp.maximum(jax.lax.stop_gradient(weight.sum()), 1e-8)
        return (value * weight * weights).sum() / total, (value, state)

    def compute(*args: Any) -> tuple[Array, Any, PyTree]:
        grads, (value, state) = jax.grad(mean, has_aux=True)(*args)
        return value, grads, state

    return jit_once(compute)


def declared_gradients(ctx: Context, start: Sequence[np.ndarray]) -> Gradients | None:
    """Returns gradients of the task's model at the trainer's parameters; None if they do not fit.

    They fit if the leaves have the same shapes in the same order and the network's outputs at the
    trainer's first parameters are those of `predict`.
    """
    if ctx.model is None:
        return None
    params, state = ctx.variables()
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]
    if shapes != [leaf.shape for leaf in start]:
        return None
    tree = jax.tree.structure(params)
    own = jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in start])
    inputs = ctx.batch().inputs
    outputs, _ = ctx.apply(own, state, inputs)
    if disagreement(_plain(outputs), _plain(ctx.predict(ctx.fresh_state(), inputs))) > 0.03:
        return None
    return from_model(ctx.model, ctx.task.loss, tree, state, own, inputs)


def from_model(
    model: Model, loss: Any, tree: Any, state: PyTree, params: PyTree, inputs: PyTree
) -> Gradients:
    """Returns gradients of a model in training mode, its dropout off where that can be done."""
    random = _draws(model, params, state, inputs)
    quiet = model.without("dropout") if random and model.without is not None else model

    def outputs(leaves: Any, state: PyTree, inputs: PyTree, key: Key) -> tuple[PyTree, PyTree]:
        made = jax.tree.unflatten(tree, leaves)
        result, new = quiet.apply(made, state, inputs, key=key, train=True)
        return result, new

    return Gradients(
        compute=_compiled(outputs, loss),
        outputs=outputs,
        state=state,
        declared=True,
        random=random,
        loss=loss,
    )


def evaluation_gradients(ctx: Context, gradients: Gradients) -> Gradients:
    """Returns the declared gradients with the network in evaluation mode."""
    model = ctx.model
    assert model is not None
    tree = jax.tree.structure(ctx.variables()[0])

    def outputs(leaves: Any, state: PyTree, inputs: PyTree, key: Key) -> tuple[PyTree, PyTree]:
        del key
        return model.apply(jax.tree.unflatten(tree, leaves), state, inputs)

    return dataclasses.replace(
        gradients, outputs=outputs, compute=_compiled(outputs, gradients.loss)
    )


def predicted_gradients(ctx: Context, start: Sequence[np.ndarray]) -> Gradients | None:
    """Returns gradients through the trainer's `predict`; None where it cannot be differentiated."""
    put = surgery(ctx.fresh_state(), ctx.trainer.params)
    if put is None:
        return None
    batch = ctx.batch()

    def outputs(leaves: Any, state: PyTree, inputs: PyTree, key: Key) -> tuple[PyTree, PyTree]:
        del key
        return ctx.trainer.predict(put(leaves), inputs), state

    leaves = [jnp.asarray(leaf) for leaf in start]
    if not traceable(lambda x, i: outputs(x, {}, i, None)[0], leaves, batch.inputs):
        return None
    found = Gradients(
        compute=_compiled(outputs, ctx.task.loss),
        outputs=outputs,
        state={},
        declared=False,
        random=False,
        loss=ctx.task.loss,
    )
    ones = np.ones(len(np.asarray(batch.weights)))
    grads = found.of(start, {}, batch, ones, ctx.key)[1]
    return found if any(np.any(g) for g in grads) else None


def surgery(state: Any, params_of: Callable[[Any], PyTree]) -> Callable[[list[Array]], Any] | None:
    """Returns how to make a state with other parameters, None if they are not found in it.

    The state itself is never written to. Parameters are found by identity, or else by equal
    values where only one array of the state has them.

    Args:
      state: of a trainer.
      params_of: its parameters.
    """
    wanted = jax.tree.leaves(params_of(state))
    inside: Any = state
    opaque = len(jax.tree.leaves(state)) == 1 and hasattr(state, "__dict__")
    opaque = opaque and not hasattr(state, "dtype")
    if opaque:
        inside = {k: v for k, v in vars(state).items() if not callable(v)}
    leaves, tree = jax.tree.flatten(inside)
    places = []
    for leaf in wanted:
        same = [i for i, other in enumerate(leaves) if other is leaf]
        if not same:
            same = [i for i, other in enumerate(leaves) if _equal(leaf, other)]
            if len(same) != 1:
                return None
        places.append(same)

    def put(new: list[Array]) -> Any:
        changed = list(leaves)
        for where, leaf in zip(places, new, strict=True):
            for i in where:
                changed[i] = leaf
        made = jax.tree.unflatten(tree, changed)
        if not opaque:
            return made
        other = copy.copy(state)
        other.__dict__.update(made)
        return other

    return put


def _equal(a: Any, b: Any) -> bool:
    if not hasattr(b, "shape") or not hasattr(b, "dtype") or b.shape != a.shape:
        return False
    if b.dtype != a.dtype or jnp.issubdtype(b.dtype, jax.dtypes.prng_key):
        return False
    return bool(np.array_equal(np.asarray(a), np.asarray(b)))


def _draws(model: Model, params: PyTree, state: PyTree, inputs: PyTree) -> bool:
    """Whether the network draws random numbers in training, by its trace."""

    def run(params: PyTree, state: PyTree, inputs: PyTree, key: Key) -> PyTree:
        return model.apply(params, state, inputs, key=key, train=True)[0]

    text = str(jax.make_jaxpr(run)(params, state, inputs, jax.random.key(0)).jaxpr)
    return any(name in text for name in ("random_bits", "threefry2x32", "rng_bit_generator"))


def _plain(outputs: PyTree) -> PyTree:
    return jax.tree.map(np.asarray, outputs)
