"""Base programs whose training loop is the user's own, behind a `jr.Trainer`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import jrecipe as jr
from gallery.bases_digits import digits_cnn, digits_mlp, finetune
from gallery.bases_sequences import tagger
from gallery.bases_tables import regression


class LoopState(NamedTuple):
    """What a loop carries from step to step."""

    params: Any
    model_state: Any
    opt_state: Any
    memory: Any


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of a hand-written step; a fault exchanges one of them.

    Attributes:
      remember: `(params) -> memory` at the start, for what else the state carries.
      pick: `(batch) -> batch` that is trained on.
      at: `(params, memory) -> params` at which the gradient is taken.
      outputs: what is done to the outputs before the loss.
      objective: `(outputs, batch) -> scalar`; None for the mean of the task's loss.
      change: `(grads, params, memory) -> grads` that the optimiser gets.
      update: `(tx, grads, opt_state, params) -> (params, opt_state)`.
      finish: `(old state, new state, grads) -> state`.
      report: `(loss, batch) -> loss` that is told.
    """

    remember: Callable[..., Any] = lambda params: ()
    pick: Callable[..., Any] = lambda batch: batch
    at: Callable[..., Any] = lambda params, memory: params
    outputs: Callable[..., Any] = lambda outputs: outputs
    objective: Callable[..., Any] | None = None
    change: Callable[..., Any] = lambda grads, params, memory: grads
    update: Callable[..., Any] | None = None
    finish: Callable[..., Any] = lambda old, new, grads: new
    report: Callable[..., Any] = lambda loss, batch: loss


def mean_loss(task: jr.Task, outputs: Any, batch: jr.Batch) -> Any:
    """Returns the mean of the task's loss over a batch."""
    value, weight = jr.losses.weighted(task.loss, outputs, batch.targets, batch.weights)
    return jr.losses.weighted_mean(value, weight)


def apply_optax(tx: Any, grads: Any, opt_state: Any, params: Any) -> Any:
    """Returns `(params, opt_state)` after one update."""
    updates, opt_state = tx.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def optax_loop(task: jr.Task, *, donate: bool = False, **parts: Any) -> jr.Task:
    """Returns the task with a jitted optax loop of its own; it still declares model and optimiser.

    Args:
      task: model, loss, optimiser and frozen paths.
      donate: whether a step gives its old state away.
      **parts: see `Parts`.
    """
    part, model = Parts(**parts), task.model
    assert model is not None
    tx = jr.train.freeze(task.optimizer, task.frozen) if task.frozen else task.optimizer
    assert tx is not None
    objective = part.objective or (lambda outputs, batch: mean_loss(task, outputs, batch))
    example = task.train.take(np.arange(2))[0]

    @jax.jit
    def init(key: Any) -> LoopState:
        params, model_state = model.init(key, example)
        return LoopState(params, model_state, tx.init(params), part.remember(params))

    def step(state: LoopState, batch: jr.Batch, key: Any) -> tuple[LoopState, Any]:
        batch = part.pick(batch)

        def loss(params: Any) -> Any:
            args = (params, state.model_state, batch.inputs)
            outputs, model_state = model.apply(*args, key=key, train=True)
            return objective(part.outputs(outputs), batch), model_state

        start = part.at(state.params, state.memory)
        (value, model_state), grads = jax.value_and_grad(loss, has_aux=True)(start)
        grads = part.change(grads, state.params, state.memory)
        update = part.update or apply_optax
        params, opt_state = update(tx, grads, state.opt_state, state.params)
        new = LoopState(params, model_state, opt_state, state.memory)
        return part.finish(state, new, grads), {"loss": part.report(value, batch)}

    predict = jax.jit(lambda state, inputs: model.apply(state.params, state.model_state, inputs)[0])
    trainer = jr.Trainer(
        init=init,
        step=jax.jit(step, donate_argnums=0) if donate else jax.jit(step),
        predict=predict,
        params=lambda state: state.params,
    )
    return task.replace(trainer=trainer)


class NumpyLoop:
    """A mutable trainer: gradients by JAX, momentum by NumPy, in place."""

    def __init__(self, task: jr.Task, init: Any, gradient: Any, key: Any, rate: float) -> None:
        self.gradient, self.rate = gradient, rate
        params, self.model_state = init(key, task.train.take(np.arange(2))[0])
        self.params = jax.tree.map(np.array, params)
        self.velocity = jax.tree.map(np.zeros_like, self.params)

    def step(self, batch: jr.Batch) -> float:
        """Moves the parameters once; returns the loss before."""
        loss, grads = self.gradient(self.params, self.model_state, batch)
        self.velocity = jax.tree.map(lambda v, g: 0.9 * v + np.asarray(g), self.velocity, grads)
        self.params = jax.tree.map(lambda p, v: p - self.rate * v, self.params, self.velocity)
        return float(loss)


def numpy_loop(
    task: jr.Task, loop: type[NumpyLoop] = NumpyLoop, rate: float = 0.02, objective: Any = None
) -> jr.Task:
    """Returns the task with a NumPy loop, without a word about the model or the optimiser.

    Args:
      task: model and loss.
      loop: the trainer.
      rate: its learning rate.
      objective: `(outputs, batch) -> scalar`; None for the mean of the task's loss.
    """
    model = task.model
    assert model is not None
    objective = objective or (lambda outputs, batch: mean_loss(task, outputs, batch))

    def loss(params: Any, model_state: Any, batch: jr.Batch) -> Any:
        return objective(model.apply(params, model_state, batch.inputs)[0], batch)

    init, gradient = jax.jit(model.init), jax.jit(jax.value_and_grad(loss))
    forward = jax.jit(lambda params, state, inputs: model.apply(params, state, inputs)[0])
    trainer = jr.Trainer(
        init=lambda key: loop(task, init, gradient, key, rate),
        step=lambda state, batch, key: (state, {"loss": state.step(batch)}),
        predict=lambda state, x: np.asarray(forward(state.params, state.model_state, x)),
        params=lambda state: state.params,
    )
    return task.replace(model=None, optimizer=None, trainer=trainer)


momentum = optax.sgd(0.05, momentum=0.9)


def digits_loop(seed: int, *, optimizer: Any = momentum, **parts: Any) -> jr.Task:
    """`digits_mlp` in a jitted loop with momentum, declared."""
    return optax_loop(digits_mlp(seed, optimizer=optimizer, name="digits_loop"), **parts)


def regression_loop(seed: int, **parts: Any) -> jr.Task:
    """`regression` in a NumPy loop; neither model nor optimiser is declared."""
    return numpy_loop(regression(seed, name="regression_loop"), **parts)


def tagger_loop(seed: int, *, optimizer: Any = None, **parts: Any) -> jr.Task:
    """`tagger` in a jitted loop that donates its state."""
    optimizer = optax.adam(3e-3) if optimizer is None else optimizer
    task = tagger(seed, optimizer=optimizer, name="tagger_loop")
    return optax_loop(task, donate=True, **parts)


def cnn_loop(seed: int, **parts: Any) -> jr.Task:
    """`digits_cnn` in a jitted loop; BatchNorm statistics are part of its state."""
    return optax_loop(digits_cnn(seed, optimizer=momentum, name="cnn_loop"), **parts)


def finetune_loop(seed: int, **parts: Any) -> jr.Task:
    """`finetune` in a jitted loop that leaves the frozen trunk alone."""
    return optax_loop(finetune(seed, name="finetune_loop"), **parts)
