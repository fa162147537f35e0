"""What people's own training loops share: a frame, arithmetic on trees, updates of optax.

The programs that build on this module were written without sight of the checks and of the rest of
the gallery. Every one trains through `Task.trainer`. Where a loop does what the declared loss and
optimiser say, on a network without state, the network is declared as `model` too; elsewhere it is
not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.unseen.loop_data import Data
from gallery.unseen.loop_networks import Forward, Params

State = Any  # what a loop carries from step to step
# (params, batch) -> (mean loss, its gradient)
Gradient = Callable[[Params, jr.Batch], tuple[jax.Array, Params]]
Moved = tuple[State, jax.Array]  # the next state, the loss of the batch
Update = Callable[[State, jr.Batch, Any, Gradient], Moved]

CLASSES = jr.losses.softmax_cross_entropy()
YES_NO = jr.losses.sigmoid_cross_entropy()
SQUARES = jr.losses.l2()


def mean(value: jax.Array, weights: jax.Array) -> jax.Array:
    return (value * weights).sum() / weights.sum()


def add(a: Params, b: Params, scale: float | jax.Array = 1.0) -> Params:
    """Returns `a + scale * b`, leaf by leaf."""
    return jax.tree.map(lambda x, y: x + scale * y, a, b)


def blend(a: Params, b: Params, share: float | jax.Array) -> Params:
    """Returns `(1 - share) * a + share * b`, leaf by leaf."""
    return jax.tree.map(lambda x, y: (1 - share) * x + share * y, a, b)


def choose(condition: jax.Array, yes: Params, no: Params) -> Params:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), yes, no)


def norm(tree: Params) -> jax.Array:
    return optax.global_norm(tree)


def task(data: Data, loss: Any, trainer: jr.Trainer, **more: Any) -> jr.Task:
    return jr.Task(train=data[0], val=data[1], loss=loss, trainer=trainer, **more)


def loop(
    data: Data,
    loss: Any,
    init: Callable[[Any], Params],
    forward: Forward,
    update: Update,
    *,
    start: Callable[[Params], dict[str, Any]] = lambda params: {},
    judged: Callable[[State], Params] = lambda state: state["params"],
    evaluate: Forward | None = None,
    batch_size: int = 32,
    **more: Any,
) -> jr.Task:
    """Returns a task whose loop keeps a dict with `params` and whatever `start` adds.

    Args:
      data: training and validation split.
      loss: of the task, whose weighted mean the loop descends.
      init: `(key) -> params`.
      forward: `(params, inputs) -> outputs`, in training.
      update: `(state, batch, key, gradient) -> (state, loss of the batch)`.
      start: what else the state holds at first.
      judged: the weights that predictions are made with.
      evaluate: `(params, inputs) -> outputs` of predictions, if not `forward`.
      batch_size: rows of a batch.
      more: for `jr.Task`.
    """

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        return mean(loss(forward(params, batch.inputs), batch.targets), batch.weights)

    def begin(key: Any) -> State:
        params = init(key)
        return {"params": params, **start(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        state, reported = update(state, batch, key, jax.value_and_grad(value))
        return state, {"loss": reported}

    @jax.jit
    def predict(state: State, inputs: Any) -> jax.Array:
        return (evaluate or forward)(judged(state), inputs)

    trainer = jr.Trainer(begin, step, predict, lambda state: state["params"])
    return task(data, loss, trainer, batch_size=batch_size, **more)


def descend(tx: optax.GradientTransformation, state: State, grads: Params) -> State:
    """Returns the state after an update by optax, with the rest of it kept."""
    updates, moments = tx.update(grads, state["opt"], state["params"])
    return {**state, "params": optax.apply_updates(state["params"], updates), "opt": moments}


def with_opt(tx: optax.GradientTransformation) -> Callable[[Params], dict[str, Any]]:
    """Returns a start with the optimiser's state and a counter."""
    return lambda params: {"opt": tx.init(params), "count": 0}


def plain(tx: optax.GradientTransformation) -> Update:
    """Returns the update of optax, as it is."""

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        return descend(tx, state, grads), loss

    return update
