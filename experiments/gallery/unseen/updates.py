"""Loops whose update is written by hand, or changes the gradient before optax gets it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from sklearn import datasets

import jrecipe as jr
from gallery.planting import planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import Data, cancer, hold_out, moons, standardise, waves
from gallery.unseen.loop_networks import (
    Params,
    column,
    declared,
    forward,
    log_odds,
    mlp,
    wave_forward,
    wave_init,
)
from gallery.unseen.loop_parts import (
    CLASSES,
    SQUARES,
    YES_NO,
    Gradient,
    Moved,
    State,
    add,
    blend,
    descend,
    loop,
    mean,
    norm,
    task,
    with_opt,
)

# Momentum SGD by hand


@functools.lru_cache(maxsize=4)
def diabetes(seed: int) -> Data:
    """Diabetes: 442 rows, 10 numbers, a number to predict; both standardised."""
    table, score = datasets.load_diabetes(return_X_y=True)
    return standardise(hold_out(table, score, seed), targets=True)


def diabetes_momentum(seed: int, *, outer: bool = False) -> jr.Task:
    """Momentum by hand on a plain pytree; `outer` subtracts a row of targets from a column."""
    init = mlp(10, 8, 1)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        if outer:
            error = forward(params, batch.inputs) - batch.targets
            return mean(jnp.square(error).mean(axis=0), batch.weights)
        error = column(params, batch.inputs) - batch.targets
        return mean(jnp.square(error), batch.weights)

    def start(key: Any) -> State:
        params = init(key)
        return params, jax.tree.map(jnp.zeros_like, params)

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        params, velocity = state
        loss, grads = jax.value_and_grad(value)(params, batch)
        velocity = add(grads, velocity, 0.9)
        return (add(params, velocity, -0.003), velocity), {"loss": loss}

    predict = jax.jit(lambda state, inputs: column(state[0], inputs))
    trainer = jr.Trainer(start, step, predict, lambda state: state[0])
    return task(
        diabetes(seed),
        SQUARES,
        trainer,
        model=declared(init, column),
        optimizer=optax.sgd(0.003, momentum=0.9),
        batch_size=32,
    )


def column_against_row(seed: int, strength: Strength) -> jr.Task:
    """Outputs [b, 1] minus targets [b] are [b, b]: every output is drawn to every target."""
    del strength
    return diabetes_momentum(seed, outer=True)


# Odd loops that are right


def centralised(seed: int) -> jr.Task:
    """The mean over inputs is taken out of each matrix's gradient before Adam."""
    data, tx = cancer(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        centred = lambda g: g - g.mean(axis=0) if g.ndim == 2 else g  # noqa: E731
        return descend(tx, state, jax.tree.map(centred, grads)), loss

    init = mlp(30, 16, 1, bias=log_odds(data))
    return loop(data, YES_NO, init, column, update, start=with_opt(tx))


def sharpness_aware(seed: int) -> jr.Task:
    """The gradient is taken a short way uphill and applied here (SAM)."""
    tx = optax.adam(3e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        uphill = add(state["params"], grads, 0.02 / (norm(grads) + 1e-12))
        return descend(tx, state, gradient(uphill, batch)[1]), loss

    return loop(waves(seed), CLASSES, wave_init, wave_forward, update, start=with_opt(tx))


def gradient_noise(seed: int) -> jr.Task:
    """Noise that fades is added to the gradients, drawn from the key of the step."""
    tx = optax.sgd(0.02)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        flat, back = ravel_pytree(grads)
        size = 0.1 / (1.0 + state["count"]) ** 0.275
        flat += size * jax.random.normal(key, flat.shape)
        state = descend(tx, state, back(flat))
        return {**state, "count": state["count"] + 1}, loss

    return loop(diabetes(seed), SQUARES, mlp(10, 8, 1), column, update, start=with_opt(tx))


def sign_momentum(seed: int) -> jr.Task:
    """Every weight moves by the same length, the way momentum and gradient point (Lion)."""

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        way = jax.tree.map(jnp.sign, blend(state["speed"], grads, 0.1))
        speed = blend(state["speed"], grads, 0.01)
        return {"params": add(state["params"], way, -2e-3), "speed": speed}, loss

    return loop(
        moons(seed),
        CLASSES,
        mlp(2, 16, 16, 2),
        forward,
        update,
        start=lambda params: {"speed": jax.tree.map(jnp.zeros_like, params)},
    )


loss_fault = planter("loss")

FAULTS: tuple[Fault, ...] = (
    loss_fault(
        "diabetes_momentum/column-against-row",
        column_against_row,
        diabetes_momentum,
        "the loss of an example depends on its own target alone",
        "loss-depends-on-batch batch-mixing wrong-loss update-differs",
        "loss step",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="cancer/gradient-centralised", build=centralised),
    Healthy(name="waves/sharpness-aware", build=sharpness_aware),
    Healthy(name="diabetes/gradient-noise", build=gradient_noise),
    Healthy(name="moons/sign-momentum", build=sign_momentum),
)
