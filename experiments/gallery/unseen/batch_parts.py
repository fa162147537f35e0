"""Loops that take gradients of parts of a batch, or of several batches, and join them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import arrows, cancer, friedman_standardised, waves
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
    choose,
    descend,
    loop,
    norm,
    task,
    with_opt,
)


def shards(batch: jr.Batch, parts: int) -> jr.Batch:
    """Returns a batch with a leading axis of `parts`; missing rows are added with weight 0."""
    more = -len(batch.weights) % parts

    def split(leaf: jax.Array) -> jax.Array:
        leaf = jnp.pad(leaf, ((0, more), *((0, 0) for _ in leaf.shape[1:])))
        return leaf.reshape(parts, -1, *leaf.shape[1:])

    return jax.tree.map(split, batch)


# A scan over micro-batches


def waves_micro(seed: int, *, used: slice | None = None, reset: int | None = 1) -> jr.Task:
    """Gradients summed by `lax.scan` over four micro-batches; the defaults are right.

    Args:
      seed: of the data.
      used: micro-batches that take part; None for all.
      reset: updates after which the buffer of gradients is emptied; None for never.
    """
    tx = optax.adam(3e-3)

    def total(params: Params, batch: jr.Batch) -> jax.Array:
        value = CLASSES(wave_forward(params, batch.inputs), batch.targets)
        return (value * batch.weights).sum()

    def init(key: Any) -> State:
        params = wave_init(key)
        buffer = jax.tree.map(jnp.zeros_like, params)
        return {"params": params, "opt": tx.init(params), "buffer": buffer, "count": 0}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        micro = shards(batch, 4)
        part = jax.tree.map(lambda leaf: leaf[used], micro) if used else micro

        def body(carry: Any, piece: jr.Batch) -> tuple[Any, jax.Array]:
            value, grads = jax.value_and_grad(total)(state["params"], piece)
            return add(carry, grads), value

        zeros = jax.tree.map(jnp.zeros_like, state["params"])
        grads, values = jax.lax.scan(body, zeros, part)
        rows = jnp.maximum(part.weights.sum(), 1.0)
        buffer = add(state["buffer"], grads, 1 / rows)
        count = state["count"] + 1
        state = descend(tx, {**state, "count": count}, buffer)
        if reset is not None:
            buffer = choose(count % reset == 0, zeros, buffer)
        return {**state, "buffer": buffer}, {"loss": values.sum() / rows}

    predict = jax.jit(lambda state, inputs: wave_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(wave_init, wave_forward)
    return task(waves(seed), CLASSES, trainer, model=model, optimizer=tx, batch_size=64)


def last_micro_batch(seed: int, strength: Strength) -> jr.Task:
    """Only the last of four micro-batches counts; in the weak form it is the one that does not."""
    return waves_micro(seed, used=pick(strength, slice(3, 4), slice(0, 3)))


def buffer_never_emptied(seed: int, strength: Strength) -> jr.Task:
    """Gradients of all updates pile up; in the weak form those of four updates."""
    return waves_micro(seed, reset=pick(strength, None, 4))


# Devices that `vmap` plays


def arrows_devices(
    seed: int,
    averaged: tuple[str, ...] = ("stem", "head"),
    mirrored: float = 0.0,
    relabel: bool = True,
) -> jr.Task:
    """Four copies of the weights, one for each share of the batch; the defaults are right.

    Args:
      seed: of the data.
      averaged: layers whose gradients are averaged over the devices.
      mirrored: share of pictures that the step mirrors.
      relabel: whether a mirrored arrow points the other way.
    """
    tx = optax.sgd(0.05, momentum=0.9)

    def total(params: Params, batch: jr.Batch) -> jax.Array:
        return (CLASSES(forward(params, batch.inputs), batch.targets) * batch.weights).sum()

    def one(params: Params, opt: Any, batch: jr.Batch) -> tuple[Params, Any, jax.Array]:
        value, grads = jax.value_and_grad(total)(params, batch)
        rows = batch.weights.sum()
        rows_of_all = jax.lax.psum(rows, "device")
        grads = {
            name: jax.tree.map(lambda g: jax.lax.psum(g, "device") / rows_of_all, part)
            if name in averaged
            else jax.tree.map(lambda g: g / jnp.maximum(rows, 1.0), part)
            for name, part in grads.items()
        }
        updates, opt = tx.update(grads, opt, params)
        loss = jax.lax.psum(value, "device") / rows_of_all
        return optax.apply_updates(params, updates), opt, loss

    def mirror(batch: jr.Batch, key: Any) -> jr.Batch:
        flip = jax.random.bernoulli(key, mirrored, batch.weights.shape)
        pictures = jnp.where(flip[:, None, None], batch.inputs[:, :, ::-1], batch.inputs)
        swapped = jnp.asarray([1, 0, 2], jnp.int32)[batch.targets]
        labels = jnp.where(flip, swapped, batch.targets) if relabel else batch.targets
        return batch._replace(inputs=pictures, targets=labels)

    def init(key: Any) -> State:
        params = mlp(100, 32, 3)(key)
        state = {"params": params, "opt": tx.init(params)}
        return jax.tree.map(lambda leaf: jnp.stack([leaf] * 4), state)

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        batch = mirror(batch, key) if mirrored else batch
        every = jax.vmap(one, axis_name="device")
        params, opt, loss = every(state["params"], state["opt"], shards(batch, 4))
        return {"params": params, "opt": opt}, {"loss": loss[0]}

    first = lambda state: jax.tree.map(lambda leaf: leaf[0], state["params"])  # noqa: E731
    predict = jax.jit(lambda state, inputs: forward(first(state), inputs))
    trainer = jr.Trainer(init, step, predict, first)
    return task(arrows(seed), CLASSES, trainer, optimizer=tx, batch_size=64)


def average_forgotten(seed: int, strength: Strength) -> jr.Task:
    """Each device goes its own way and the first one is kept; weak: only its stem does."""
    return arrows_devices(seed, averaged=pick(strength, (), ("head",)))


def mirrored_arrows(seed: int, strength: Strength) -> jr.Task:
    """Half of the pictures are mirrored, arrows keep their labels; weak: a fifth."""
    return arrows_devices(seed, mirrored=pick(strength, 0.5, 0.2), relabel=False)


def mirrored_rightly(seed: int) -> jr.Task:
    """Half of the pictures are mirrored, and their labels with them."""
    return arrows_devices(seed, mirrored=0.5)


# Odd loops that are right


def accumulated(seed: int) -> jr.Task:
    """Weights move at every fourth step only, by the mean gradient of the four batches."""
    tx = optax.adam(5e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        loss, grads = gradient(state["params"], batch)
        total, count = add(state["total"], grads, 0.25), state["count"] + 1
        held = {**state, "total": total, "count": count}
        zeros = jax.tree.map(jnp.zeros_like, total)
        moved = {**descend(tx, held, total), "total": zeros}
        return choose(count % 4 == 0, moved, held), loss

    return loop(
        friedman_standardised(seed),
        SQUARES,
        mlp(10, 24, 1),
        column,
        update,
        start=lambda params: {
            **with_opt(tx)(params),
            "total": jax.tree.map(jnp.zeros_like, params),
        },
        batch_size=16,
    )


def clipped_by_example(seed: int) -> jr.Task:
    """The gradient of each example is shortened to a norm of 2 before the mean over the batch."""
    data, tx = cancer(seed), optax.adam(2e-3)

    def update(state: State, batch: jr.Batch, key: Any, gradient: Gradient) -> Moved:
        def one(row: Any, target: Any) -> tuple[jax.Array, Params]:
            single = jr.Batch(row[None], target[None], jnp.ones(1))
            value, grads = gradient(state["params"], single)
            short = jnp.minimum(1.0, 2.0 / (norm(grads) + 1e-12))
            return value, jax.tree.map(lambda g: g * short, grads)

        values, grads = jax.vmap(one)(batch.inputs, batch.targets)
        share = batch.weights / batch.weights.sum()
        grads = jax.tree.map(lambda g: jnp.tensordot(share, g, axes=1), grads)
        return descend(tx, state, grads), (values * share).sum()

    init = mlp(30, 16, 1, bias=log_odds(data))
    return loop(data, YES_NO, init, column, update, start=with_opt(tx))


step_fault, optimizer_fault, data_fault = planter("step"), planter("optimizer"), planter("data")

FAULTS: tuple[Fault, ...] = (
    step_fault(
        "waves_micro/last-micro-batch",
        last_micro_batch,
        waves_micro,
        "every example of a batch has a part in its update",
        "examples-ignored",
        "step data",
    ),
    optimizer_fault(
        "waves_micro/buffer-never-emptied",
        buffer_never_emptied,
        waves_micro,
        "an update uses the gradient of its own batch",
        "gradients-accumulate",
        "step optimizer",
    ),
    step_fault(
        "arrows_devices/average-forgotten",
        average_forgotten,
        arrows_devices,
        "an update is the mean over all devices",
        "examples-ignored update-differs",
        "step data",
    ),
    data_fault(
        "arrows_devices/mirrored-arrows",
        mirrored_arrows,
        mirrored_rightly,
        "labels follow when the inputs are moved",
        "augmentation-breaks-labels",
        "augmentation step data labels",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="friedman/accumulated-in-state", build=accumulated),
    Healthy(name="cancer/clipped-by-example", build=clipped_by_example),
)
