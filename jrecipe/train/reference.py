"""jrecipe's own trainer behind the contract that foreign trainers fit through too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jrecipe.task import Task, Trainer
from jrecipe.train.frozen import freeze
from jrecipe.train.state import TrainState, create_state
from jrecipe.train.step import Update, make_loss_fn, make_update
from jrecipe.types import Key, PyTree, TaskError


def optimizer_of(task: Task) -> optax.GradientTransformation:
    """Returns the task's optimiser with its frozen paths left out."""
    return freeze(task.optimizer, task.frozen)


def update_of(task: Task, accumulate: int = 1, axis_name: str | None = None) -> Update:
    """Returns the task's pure update `(state, batch, key) -> (state, metrics)`, not compiled.

    Args:
      task: with a model.
      accumulate: see `make_update`.
      axis_name: see `make_update`.
    """
    _require_model(task)
    loss_fn = make_loss_fn(task.model, task.loss, task.augment)
    tx = optimizer_of(task)
    return make_update(loss_fn, tx, accumulate=accumulate, axis_name=axis_name, frozen=task.frozen)


def example_inputs(task: Task, n: int = 2) -> PyTree:
    """Returns the inputs of the first `n` training examples, for initialising shapes."""
    return task.train.take(np.arange(min(n, len(task.train))))[0]


def reference_trainer(
    task: Task, compiled: Callable[[Callable[..., Any]], Any] = jax.jit
) -> Trainer:
    """Builds the reference trainer of a task: the same update as `fit`, compiled with jit.

    Args:
      task: with a model.
      compiled: how to compile a function.

    Returns:
      A `Trainer` whose state is a `TrainState`. `step` does not donate its state, so that a check
      can start twice from the same one.

    Raises:
      TaskError: if the task has no model.
    """
    _require_model(task)
    tx, model, inputs = optimizer_of(task), task.model, example_inputs(task)

    def init(key: Key) -> TrainState:
        return create_state(model, tx, inputs, key)

    def predict(state: TrainState, inputs: PyTree) -> PyTree:
        return model.apply(state.params, state.model_state, inputs)[0]

    return Trainer(
        init=compiled(init),
        step=compiled(update_of(task)),
        predict=compiled(predict),
        params=lambda state: state.params,
    )


def trainer_of(task: Task) -> Trainer:
    """Returns what the user runs: the task's own trainer, or else the reference trainer."""
    return task.trainer if task.trainer is not None else reference_trainer(task)


def _require_model(task: Task) -> None:
    if task.model is None:
        raise TaskError(
            f"Task {task.name!r} has a trainer but no model; jrecipe's own step needs Task.model."
        )
