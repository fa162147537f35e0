"""Trainers as people write them, with one thing wrong in the step or nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import programs as shared
import skeleton_programs as programs

import jrecipe as jr


def digits(seed: int) -> tuple[Any, Any]:
    """Returns (train, val) of standardised digits, as `skeleton_programs.digits` does."""
    x, y = shared.digits()
    x = np.array(x, np.float32).reshape(len(x), -1)
    x = ((x - x.mean()) / x.std()).astype(np.float32)
    y = np.array(y).astype(np.int32)
    rows = np.random.default_rng(seed).permutation(len(x))[:480]
    return (x[rows[:320]], y[rows[:320]]), (x[rows[320:]], y[rows[320:]])


def task(seed: int = 0, **changes: Any) -> jr.Task:
    """Returns the plain digits task."""
    return programs.classify(seed, **{"data": digits(seed), **changes})


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    """What a functional loop carries; `extra` is for what a fault keeps."""

    params: Any
    model: Any
    opt: Any
    extra: Any
    step: Any


Change = Callable[..., Any]


def loop(
    task: jr.Task,
    tx: Any = None,
    *,
    gradient: Change | None = None,
    batch: Change = lambda state, batch, key: batch,
    weigh: Change = lambda value, batch: value.mean(),
    look: Change = lambda params, state: params,
    outputs: Change = lambda x: x,
    after: Change = lambda old, new: new,
    report: Change = lambda loss, batch: {"loss": loss},
    train: bool = True,
    extra: Change = lambda params: (),
    donate: bool = False,
    declare: bool = True,
    model: bool = True,
    jit: bool = True,
) -> jr.Task:
    """Returns the task with a functional loop in which each part of the step can be replaced.

    Args:
      task: with a model.
      tx: the optimiser of the loop; the task's by default.
      gradient: `(grads, state) -> (grads, extra)`.
      batch: `(state, batch, key) -> batch` before anything else.
      weigh: `(value float32[b], batch) -> loss`.
      look: `(params, state) -> params` at which the gradient is taken.
      outputs: what is done to the outputs in the step.
      after: `(old state, new state) -> state`.
      report: `(loss, batch) -> metrics`.
      train: whether the network is in training mode.
      extra: `(params) -> extra` at the start.
      donate: whether the step donates its state.
      declare: whether the task names the optimiser.
      model: whether the task keeps its model.
      jit: whether the step is compiled.
    """
    net, loss, tx = task.model, task.loss, task.optimizer if tx is None else tx
    example = task.train.take(np.arange(2))[0]

    @jax.jit
    def init(key: Any) -> State:
        params, state = net.init(key, example)
        zero = jnp.zeros((), jnp.int32)
        return State(params, state, tx.init(params), extra(params), zero)

    def step(state: State, given: Any, key: Any) -> tuple[State, Any]:
        given = batch(state, given, key)

        def mean(params: Any) -> Any:
            result, new = net.apply(params, state.model, given.inputs, key=key, train=train)
            result = loss(outputs(result), given.targets)
            value = result[0] if isinstance(result, tuple) else result
            return weigh(value, given), new

        (value, new), grads = jax.value_and_grad(mean, has_aux=True)(look(state.params, state))
        kept = state.extra
        if gradient is not None:
            grads, kept = gradient(grads, state)
        moves, opt = tx.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, moves)
        made = State(params, new, opt, kept, state.step + 1)
        return after(state, made), report(value, given)

    compiled = jax.jit(step, donate_argnums=(0,) if donate else ()) if jit else step
    trainer = jr.Trainer(
        init=init,
        step=compiled,
        predict=jax.jit(lambda state, inputs: net.apply(state.params, state.model, inputs)[0]),
        params=lambda state: state.params,
    )
    return task.replace(
        trainer=trainer,
        optimizer=task.optimizer if declare else None,
        model=task.model if model else None,
    )


def keep(value: Any, batch: Any, rows: Any) -> Any:
    """Returns the mean over some rows."""
    weights = jnp.asarray(rows, jnp.float32)
    return (value * weights).sum() / weights.sum()


def rolled(batch: Any, shift: int = 1) -> Any:
    """Returns the batch with its targets moved."""
    return batch._replace(targets=jnp.roll(batch.targets, shift, axis=0))


def patch(tree: Any, layer: str, name: str, change: Change) -> Any:
    """Returns a Linen tree with one leaf changed."""
    copy = jax.tree.map(lambda x: x, tree)
    copy[layer][name] = change(copy[layer][name])
    return copy
