"""Loops that live in a Python object, which they change in place."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import friedman_standardised
from gallery.unseen.loop_networks import Params, column, mlp
from gallery.unseen.loop_parts import SQUARES, mean, task

# An object that is told to take a step


class Fitter:
    """Weights, moments and memory of a loop, changed in place."""

    def __init__(self, params: Params, tx: optax.GradientTransformation):
        self.params, self.opt, self.count = params, tx.init(params), 0
        self.shown = params  # what predictions are made with
        self.batch: jr.Batch | None = None


def fitter(
    seed: int,
    *,
    fresh: tuple[str, ...] = ("stem", "hidden", "head"),
    every: int | None = 1,
    epoch: int | None = None,
) -> jr.Task:
    """An object that is told to take a step; the defaults are right.

    Args:
      seed: of the data.
      fresh: layers that predictions see as they are now, not as they were at first.
      every: steps after which a new batch is taken in; None keeps the first one.
      epoch: steps that the schedule, a cosine over 40 epochs, takes for an epoch; None for a
        constant rate.
    """
    data, cosine = friedman_standardised(seed), optax.cosine_decay_schedule(3e-3, 40)
    tx = optax.adam(3e-3 if epoch is None else lambda count: cosine(count // epoch))

    @jax.jit
    def update(params: Params, opt: Any, batch: jr.Batch) -> tuple[Params, Any, jax.Array]:
        def value(params: Params) -> jax.Array:
            return mean(SQUARES(column(params, batch.inputs), batch.targets), batch.weights)

        loss, grads = jax.value_and_grad(value)(params)
        updates, opt = tx.update(grads, opt)
        return optax.apply_updates(params, updates), opt, loss

    def step(state: Fitter, batch: jr.Batch, key: Any) -> tuple[Fitter, Any]:
        if state.batch is None or (every is not None and state.count % every == 0):
            state.batch = batch
        state.params, state.opt, loss = update(state.params, state.opt, state.batch)
        state.shown = {**state.shown, **{name: state.params[name] for name in fresh}}
        state.count += 1
        return state, {"loss": loss}

    outputs = jax.jit(column)
    trainer = jr.Trainer(
        lambda key: Fitter(mlp(10, 24, 24, 1)(key), tx),
        step,
        lambda state, inputs: outputs(state.shown, inputs),
        lambda state: state.params,
    )
    return task(data, SQUARES, trainer, optimizer=tx, batch_size=16)


def stale_copy(seed: int, strength: Strength) -> jr.Task:
    """Predictions use weights copied before training; weak: all but the head's are."""
    return fitter(seed, fresh=pick(strength, (), ("head",)))


def first_batch_again(seed: int, strength: Strength) -> jr.Task:
    """The batch is remembered and used again, for ever or (weak) for ten steps."""
    return fitter(seed, every=pick(strength, None, 10))


def schedule_by_step(seed: int, strength: Strength) -> jr.Task:
    """A schedule over 40 epochs is asked at each step; weak: with an epoch taken for 4 steps."""
    return fitter(seed, epoch=pick(strength, 1, 4))


def schedule_by_epoch(seed: int) -> jr.Task:
    """The same schedule with the true number of steps in an epoch."""
    return fitter(seed, epoch=-(-600 // 16))


# Odd, and right


class Vector:
    """All weights as one NumPy vector, and a mean of squared gradients, both changed in place."""

    def __init__(self, flat: np.ndarray):
        self.flat, self.squares, self.count = flat, np.zeros_like(flat), 0


def in_place(seed: int) -> jr.Task:
    """RMSProp by hand on a NumPy vector that the loop writes into."""
    init = mlp(10, 24, 1)
    _, back = ravel_pytree(init(jax.random.key(0)))

    @jax.jit
    def gradient(flat: jax.Array, batch: jr.Batch) -> tuple[jax.Array, jax.Array]:
        def value(flat: jax.Array) -> jax.Array:
            return mean(SQUARES(column(back(flat), batch.inputs), batch.targets), batch.weights)

        return jax.value_and_grad(value)(flat)

    def step(state: Vector, batch: jr.Batch, key: Any) -> tuple[Vector, Any]:
        loss, grads = gradient(jnp.array(state.flat), batch)
        grads = np.asarray(grads)
        state.count += 1
        state.squares *= 0.99
        state.squares += 0.01 * grads**2
        corrected = state.squares / (1 - 0.99**state.count)
        state.flat -= 3e-3 * grads / (np.sqrt(corrected) + 1e-8)
        return state, {"loss": loss}

    outputs = jax.jit(lambda flat, inputs: column(back(flat), inputs))
    trainer = jr.Trainer(
        lambda key: Vector(np.array(ravel_pytree(init(key))[0])),
        step,
        lambda state, inputs: outputs(jnp.array(state.flat), inputs),
        lambda state: back(jnp.array(state.flat)),
    )
    return task(friedman_standardised(seed), SQUARES, trainer, batch_size=32)


procedure_fault, data_fault = planter("procedure"), planter("data")
optimizer_fault = planter("optimizer")

FAULTS: tuple[Fault, ...] = (
    procedure_fault(
        "fitter/stale-copy",
        stale_copy,
        fitter,
        "predictions use the trained weights",
        "stale-parameters parameters-unused train-eval-differ no-learning",
        "eval step",
    ),
    data_fault(
        "fitter/first-batch-again",
        first_batch_again,
        fitter,
        "an update depends on the batch it is given",
        "batch-ignored",
        "step data",
    ),
    optimizer_fault(
        "fitter/schedule-by-step",
        schedule_by_step,
        schedule_by_epoch,
        "the rate lasts as long as training does",
        "schedule-ends-early",
        "schedule optimizer step",
    ),
)
HEALTHY: tuple[Healthy, ...] = (Healthy(name="friedman/vector-in-place", build=in_place),)
