"""jrecipe's own trainer behind the contract that foreign trainers fit through too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax

from jrecipe.task import Task, Trainer
from jrecipe.train.frozen import freeze
from jrecipe.train.phases import require_shrinking, state_at, task_at
from jrecipe.train.state import TrainState, create_state
from jrecipe.train.step import Update, make_loss_fn, make_update
from jrecipe.types import Array, Batch, Key, PyTree, TaskError
from jrecipe.unfreezing import Unfreezing


def optimizer_of(task: Task) -> optax.GradientTransformation:
    """Returns the task's optimiser with its frozen paths left out, those of the first phase."""
    return freeze(task.optimizer, tuple(task.frozen))


def update_of(
    task: Task,
    accumulate: int = 1,
    axis_name: str | None = None,
    factor: Callable[[Array], Array] | None = None,
) -> Update:
    """Returns the task's pure update `(state, batch, key) -> (state, metrics)`, not compiled.

    Args:
      task: with a model. Of one with `Unfreezing` it is the update of the first phase.
      accumulate: see `make_update`.
      axis_name: see `make_update`.
      factor: see `make_update`.
    """
    _require_model(task)
    loss_fn = make_loss_fn(task.model, task.loss, task.augment)
    tx = optimizer_of(task)
    return make_update(
        loss_fn,
        tx,
        accumulate=accumulate,
        axis_name=axis_name,
        frozen=tuple(task.frozen),
        factor=factor,
    )


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
      can start twice from the same one; of a task with `Unfreezing` it cannot be traced.

    Raises:
      TaskError: if the task has no model.
    """
    _require_model(task)
    tx, model, inputs = optimizer_of(task), task.model, example_inputs(task)

    def init(key: Key) -> TrainState:
        state = create_state(model, tx, inputs, key)
        require_shrinking(task, state.params)
        return state

    # Of the network alone: an optimiser's state of another phase compiles nothing anew.
    outputs = compiled(lambda params, state, inputs: model.apply(params, state, inputs)[0])

    def predict(state: TrainState, inputs: PyTree) -> PyTree:
        return outputs(state.params, state.model_state, inputs)

    return Trainer(
        init=compiled(init),
        step=_step_in_phases(task, compiled),
        predict=predict,
        params=lambda state: state.params,
    )


def _step_in_phases(
    task: Task, compiled: Callable[[Callable[..., Any]], Any]
) -> Callable[..., Any]:
    """Returns a step that is compiled once for each phase, if the task has some."""
    if not isinstance(task.frozen, Unfreezing):
        step: Callable[..., Any] = compiled(update_of(task))
        return step
    frozen = task.frozen
    programs = {start: compiled(update_of(task_at(task, start))) for start, _ in frozen.phases}

    def of_phase(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Any]:
        if isinstance(state.step, jax.core.Tracer):
            raise TaskError(
                "The step of a task with Unfreezing cannot be traced, as it changes with the step; "
                "trace jr.train.make_update with the patterns of one phase."
            )
        now = int(state.step)
        start = max(start for start in programs if start <= now)
        state, metrics = programs[start](state, batch, key)
        return state_at(task, state, now, now + 1), metrics

    return of_phase


def trainer_of(task: Task) -> Trainer:
    """Returns what the user runs: the task's own trainer, or else the reference trainer."""
    return task.trainer if task.trainer is not None else reference_trainer(task)


def _require_model(task: Task) -> None:
    if task.model is None:
        raise TaskError(
            f"Task {task.name!r} has a trainer but no model; jrecipe's own step needs Task.model."
        )
