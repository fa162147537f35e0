"""Loops that save memory: half precision on the way, activations computed again."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import arrows, digits, waves
from gallery.unseen.loop_networks import Params, declared, forward, mlp, wave_forward, wave_init
from gallery.unseen.loop_parts import (
    CLASSES,
    Gradient,
    Moved,
    State,
    choose,
    descend,
    loop,
    mean,
    norm,
    plain,
    with_opt,
)

# bfloat16 on the way, float32 weights


def half_forward(params: Params, inputs: jax.Array) -> jax.Array:
    """Computes in bfloat16, returns float32."""
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    return forward(low, inputs.astype(jnp.bfloat16)).astype(jnp.float32)


def digits_half(seed: int, kept: Any = jnp.float32) -> jr.Task:
    """Mixed precision on digits; `kept` is the type that weights are rounded to after a step."""
    data, tx = digits(seed), optax.adam(1e-3)
    init = mlp(data[0][0].shape[1], 32, 10)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        state = descend(tx, state, grads)
        rounded = jax.tree.map(lambda p: p.astype(kept).astype(p.dtype), state["params"])
        return {**state, "params": rounded}, loss

    return loop(
        data,
        CLASSES,
        init,
        half_forward,
        update,
        start=lambda params: {"opt": tx.init(params)},
        model=declared(init, half_forward),
        optimizer=tx,
    )


def weights_kept_low(seed: int, strength: Strength) -> jr.Task:
    """Weights are cast down after each update, to bfloat16 or (weak) to float16."""
    return digits_half(seed, kept=pick(strength, jnp.bfloat16, jnp.float16))


# Odd loops that are right


def loss_scaled(seed: int) -> jr.Task:
    """float16 on the way; the loss is scaled up, and a step that overflows is left out."""
    tx = optax.sgd(0.05, momentum=0.9)

    def low(params: Params, inputs: jax.Array) -> jax.Array:
        halves = jax.tree.map(lambda leaf: leaf.astype(jnp.float16), params)
        return forward(halves, inputs.astype(jnp.float16)).astype(jnp.float32)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        del gradient  # it is not scaled

        def scaled(params: Params) -> jax.Array:
            value = CLASSES(low(params, batch.inputs), batch.targets)
            return state["scale"] * mean(value, batch.weights)

        value, grads = jax.value_and_grad(scaled)(state["params"])
        grads = jax.tree.map(lambda g: g / state["scale"], grads)
        sound = jnp.isfinite(norm(grads))
        moved = choose(sound, descend(tx, state, grads), state)
        good = jnp.where(sound, state["good"] + 1, 0)
        grown = jnp.where(good % 100 == 99, 2.0, 1.0)
        scale = jnp.clip(state["scale"] * jnp.where(sound, grown, 0.5), 1.0, 2.0**13)
        return {**moved, "good": good, "scale": scale}, value / state["scale"]

    return loop(
        arrows(seed),
        CLASSES,
        mlp(100, 32, 3),
        low,
        update,
        start=lambda params: {"opt": tx.init(params), "good": 0, "scale": 2.0**10},
    )


def rematerialised(seed: int) -> jr.Task:
    """Activations are computed again on the way back; the update is the plain one."""
    tx = optax.adam(3e-3)

    return loop(
        waves(seed),
        CLASSES,
        wave_init,
        jax.checkpoint(wave_forward),
        plain(tx),
        start=with_opt(tx),
        evaluate=wave_forward,
        model=declared(wave_init, wave_forward),
        optimizer=tx,
    )


step_fault = planter("step")

FAULTS: tuple[Fault, ...] = (
    step_fault(
        "digits_half/weights-kept-low",
        weights_kept_low,
        digits_half,
        "small updates are not lost",
        "update-differs",
        "step optimizer",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="arrows/loss-scaled-float16", build=loss_scaled),
    Healthy(name="waves/rematerialised", build=rematerialised),
)
