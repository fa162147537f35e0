"""Loops that fill up: texts to a common length, batches to a common size."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import Data, hold_out
from gallery.unseen.loop_networks import Params, declared, dense, layer
from gallery.unseen.loop_parts import State, descend, mean, task

TOKENS = jr.losses.token_cross_entropy(pad=-1)


# Tags of padded texts


@functools.lru_cache(maxsize=4)
def tags(seed: int) -> Data:
    """900 texts of 6 to 16 tokens 1..11; the tag of a token depends on it and the one before.

    Texts are padded with token 0, tags with -1.
    """
    draw = np.random.default_rng([seed, 5])
    tokens = draw.integers(1, 12, size=(900, 16))
    before = np.pad(tokens[:, :-1], ((0, 0), (1, 0)))
    there = np.arange(16) < draw.integers(6, 17, size=(900, 1))
    answers = (tokens % 2 + (before > 5)).astype(np.int32)
    return hold_out(np.where(there, tokens, 0).astype(np.int32), np.where(there, answers, -1), seed)


def tag_init(data: Data) -> Callable[[Any], Params]:
    """Returns `(key) -> params` with a head that starts at the shares of the tags."""
    answers = data[0][1]
    shares = np.bincount(answers[answers >= 0]) / (answers >= 0).sum()

    def init(key: Any) -> Params:
        table, hidden, head = jax.random.split(key, 3)
        params = {
            "embed": jax.random.normal(table, (12, 8)),
            "hidden": layer(hidden, 16, 32),
            "head": layer(head, 32, 3, 0.05),
        }
        params["head"]["b"] += np.log(shares).astype(np.float32)
        return params

    return init


def tag_forward(params: Params, tokens: jax.Array) -> jax.Array:
    """Reads each token and the one before it."""
    now = params["embed"][tokens]
    before = jnp.pad(now[:, :-1], ((0, 0), (1, 0), (0, 0)))
    hidden = jax.nn.relu(dense(params["hidden"], jnp.concatenate([now, before], axis=-1)))
    return dense(params["head"], hidden)


def tagger(seed: int, padding: str = "left out") -> jr.Task:
    """Momentum on the mean over tokens; `padding` may be "counted" or "in the divisor"."""
    data, tx = tags(seed), optax.sgd(0.1, momentum=0.9)
    make = tag_init(data)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        logits = tag_forward(params, batch.inputs)
        real = (batch.targets >= 0) * batch.weights[:, None]
        nats = optax.softmax_cross_entropy_with_integer_labels(
            logits, jnp.maximum(batch.targets, 0)
        )
        everywhere = jnp.broadcast_to(batch.weights[:, None], nats.shape)
        summed = nats * (everywhere if padding == "counted" else real)
        return summed.sum() / (real if padding == "left out" else everywhere).sum()

    def init(key: Any) -> State:
        params = make(key)
        return {"params": params, "opt": tx.init(params)}

    @jax.jit
    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss}

    predict = jax.jit(lambda state, inputs: tag_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(make, tag_forward)
    return task(data, TOKENS, trainer, model=model, optimizer=tx, batch_size=32)


def padding_counted(seed: int, strength: Strength) -> jr.Task:
    """Padded positions count as tag 0; in the weak form they only make the divisor larger."""
    return tagger(seed, padding=pick(strength, "counted", "in the divisor"))


# Odd, and right


def padded_batches(seed: int) -> jr.Task:
    """Every batch is filled up to a multiple of 64 rows, which a mask leaves out again."""
    data, tx = tags(seed), optax.adam(5e-3)
    make = tag_init(data)

    def value(params: Params, batch: jr.Batch) -> jax.Array:
        nats, tokens = TOKENS(tag_forward(params, batch.inputs), batch.targets)
        return mean(nats, tokens * batch.weights)

    @jax.jit
    def update(state: State, batch: jr.Batch) -> tuple[State, Any]:
        loss, grads = jax.value_and_grad(value)(state["params"], batch)
        return descend(tx, state, grads), {"loss": loss}

    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        more = -len(batch.weights) % 64

        def fill(leaf: Any) -> jax.Array:
            return jnp.pad(leaf, ((0, more), *((0, 0) for _ in leaf.shape[1:])))

        return update(state, jax.tree.map(fill, batch))

    def init(key: Any) -> State:
        params = make(key)
        return {"params": params, "opt": tx.init(params)}

    predict = jax.jit(lambda state, inputs: tag_forward(state["params"], inputs))
    trainer = jr.Trainer(init, step, predict, lambda state: state["params"])
    model = declared(make, tag_forward)
    return task(data, TOKENS, trainer, model=model, optimizer=tx, batch_size=48)


loss_fault = planter("loss")

FAULTS: tuple[Fault, ...] = (
    loss_fault(
        "tagger/padding-counted",
        padding_counted,
        tagger,
        "padded positions have no part in the loss",
        "padding-in-loss loss-scale",
        "loss step",
    ),
)
HEALTHY: tuple[Healthy, ...] = (Healthy(name="tags/padded-batches", build=padded_batches),)
