"""Loops that descend to other targets than the given ones: standardised, or smoothed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import clusters, friedman
from gallery.unseen.loop_networks import Params, column, declared, forward, mlp
from gallery.unseen.loop_parts import SQUARES, State, descend, loop, mean, plain, task, with_opt

# Targets standardised inside the step


def friedman_scaled(
    seed: int, back: Callable[[jax.Array, float, float], jax.Array] | None = None
) -> jr.Task:
    """Targets are standardised inside the step; `back` turns outputs into their unit again."""
    data, tx = friedman(seed), optax.adam(3e-3)
    shift, scale = float(data[0][1].mean()), float(data[0][1].std())
    back = back or (lambda z, shift, scale: z * scale + shift)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        error = column(params, batch.inputs) - (batch.targets - shift) / scale
        return mean(jnp.square(error), batch.weights)

    def init(key: Any) -> State:
        params = mlp(10, 24, 1)(key)
        return {"params": params, "opt": tx.init(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss * scale**2}

    predict = jax.jit(lambda state, x: back(column(state["params"], x), shift, scale))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    return task(data, SQUARES, trainer, optimizer=tx, batch_size=32)


def targets_scaled_in_step_only(seed: int, strength: Strength) -> jr.Task:
    """Predictions stay in the unit of the step; in the weak form only their spread."""
    narrow = lambda z, shift, scale: z + shift  # noqa: E731
    return friedman_scaled(seed, back=pick(strength, lambda z, shift, scale: z, narrow))


# Odd, and right


def smoothed(seed: int) -> jr.Task:
    """Labels are smoothed, in the loop as in the declared loss, whose floor is not 0."""
    tx, init = optax.adam(3e-3), mlp(8, 32, 32, 4)

    return loop(
        clusters(seed),
        jr.losses.softmax_cross_entropy(label_smoothing=0.1),
        init,
        forward,
        plain(tx),
        start=with_opt(tx),
        model=declared(init, forward),
        optimizer=tx,
    )


procedure_fault = planter("procedure")

FAULTS: tuple[Fault, ...] = (
    procedure_fault(
        "friedman_scaled/targets-scaled-in-step-only",
        targets_scaled_in_step_only,
        friedman_scaled,
        "predictions have the unit of the targets",
        "prepared-differently train-eval-differ outputs-cannot-reach-targets loss-reported-wrong",
        "eval step data labels head",
    ),
)
HEALTHY: tuple[Healthy, ...] = (Healthy(name="clusters/smoothed-labels", build=smoothed),)
