"""Small tasks for the tests of checks: healthy ones, and twins with one planted fault each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.result import Finding, Verdict

CLASSES = 10


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """1,797 real digits, standardised, shuffled once."""
    from sklearn.datasets import load_digits

    inputs, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return ((inputs[order] / 16 - 0.305) / 0.376).astype(np.float32), labels[order].astype(np.int32)


def digit_splits(train: int = 400, val: int = 150) -> dict[str, Any]:
    """The splits of a task on digits."""
    x, y = digits()
    return {
        "train": (x[:train], y[:train]),
        "val": (x[train : train + val], y[train : train + val]),
    }


def task(model: Any = None, loss: Any = None, **changes: Any) -> jr.Task:
    """A healthy task on digits, with changes."""
    fields = {
        "model": model if model is not None else two_layers(),
        "loss": loss if loss is not None else jr.losses.softmax_cross_entropy(),
        "batch_size": 32,
        "optimizer": optax.adam(1e-3),
        **digit_splits(),
        **changes,
    }
    return jr.Task(**fields)


def check(function: Callable[[Context], Any], subject: jr.Task, seed: int = 0) -> list[Finding]:
    """Runs one check; its findings, the worst first."""
    found = function(Context(subject, seed=seed))
    findings = [found] if isinstance(found, Finding) else list(found)
    order = list(Verdict)
    return sorted(findings, key=lambda finding: order.index(finding.verdict))


def first_cause(findings: list[Finding]) -> str:
    """The first suspect of the worst finding, "" if it is silent."""
    return findings[0].suspects[0].cause if findings[0].suspects else ""


Apply = Callable[..., Any]


def weights(rows: int, columns: int) -> jax.Array:
    """Always the same weights, from NumPy: XLA takes long to compile its normal draws."""
    rng = np.random.default_rng(rows)
    return jnp.asarray(rng.normal(size=(rows, columns)) / rows**0.5, jnp.float32)


def constant(key: Any, shape: tuple[int, int], dtype: Any = jnp.float32) -> jax.Array:
    """The same as an initialiser of Flax."""
    return weights(*shape).astype(dtype)


def two_layers(
    between: Apply | None = None, before: Apply | None = None, after: Apply | None = None, width=16
) -> jr.Model:
    """A plain two-layer network; functions of (x, train) are put before, between and after."""

    def keep(x: jax.Array, train: bool) -> jax.Array:
        return x

    before, between, after = (f or keep for f in (before, between, after))

    def init(key: Any, inputs: Any) -> tuple[Any, Any]:
        size = inputs[0].size
        return {"w1": weights(size, width), "w2": weights(width, CLASSES)}, {}

    def apply(params, state, inputs, *, key=None, train=False):
        x = before(inputs.reshape(inputs.shape[0], -1).astype(jnp.float32), train)
        h = between(jax.nn.relu(x @ params["w1"]), train)
        return after(h @ params["w2"], train), state

    return jr.Model(init, apply)


class NormNet(nn.Module):
    """BatchNorm and dropout in Linen; the flags plant a wrong mode."""

    always_drop: bool = False
    mix_in_training: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool = False) -> jax.Array:
        x = nn.Dense(16, kernel_init=constant)(inputs)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Dropout(0.3, deterministic=not (train or self.always_drop))(nn.relu(x))
        if train and self.mix_in_training:
            x = x + 0.1 * jnp.roll(x, 1, axis=0)
        return nn.Dense(CLASSES, kernel_init=constant)(x)


class BatchStatistics(nnx.Module):
    """An NNX network whose BatchNorm uses the batch in evaluation too."""

    def __init__(self, rngs: nnx.Rngs):
        self.first = nnx.Linear(64, 16, kernel_init=constant, rngs=rngs)
        self.norm = nnx.BatchNorm(16, rngs=rngs)
        self.last = nnx.Linear(16, CLASSES, kernel_init=constant, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = self.norm(self.first(inputs), use_running_average=False)
        return self.last(nnx.relu(x))


def batch_statistics(rngs: nnx.Rngs) -> BatchStatistics:
    """The factory of `BatchStatistics`."""
    return BatchStatistics(rngs)


def plain_norm() -> jr.Model:
    """BatchNorm by hand, in a plain function that cannot be taken apart."""

    def init(key, inputs):
        params, _ = two_layers().init(key, inputs)
        return params, {"mean": jnp.zeros(16)}

    def apply(params, state, inputs, *, key=None, train=False):
        h = inputs @ params["w1"]
        mean = h.mean(axis=0) if train else state["mean"]
        state = {"mean": 0.9 * state["mean"] + 0.1 * mean} if train else state
        return jax.nn.relu(h - mean[None]) @ params["w2"], state

    return jr.Model(init, apply)


def foreign(noise: bool = False, noisy_eval: bool = False) -> jr.Trainer:
    """Hand-written training in NumPy that changes its state in place."""

    def init(key):
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return {"w": 0.01 * rng.normal(size=(64, CLASSES)).astype(np.float32)}

    def step(state, batch, key):
        x, y = np.asarray(batch.inputs), np.asarray(batch.targets)
        scores = x @ state["w"]
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        state["w"] -= 0.05 * x.T @ (p - np.eye(CLASSES)[y]).astype(np.float32) / len(y)
        if noise:
            state["w"] += 1e-6 * np.random.normal(size=state["w"].shape).astype(np.float32)
        return state, {}

    def predict(state, inputs):
        scores = np.asarray(inputs) @ state["w"]
        if noisy_eval:
            scores = scores + 0.1 * np.random.normal(size=scores.shape).astype(np.float32)
        return scores

    return jr.Trainer(init, step, predict, lambda state: state)


def sequences(rows: int = 96, length: int = 9, vocabulary: int = 12, shift: int = 1) -> Any:
    """Random token sequences: inputs, and targets that are the inputs `shift` later."""
    ids = np.random.default_rng(3).integers(0, vocabulary, (rows, length + 2)).astype(np.int32)
    return ids[:, 1:-1], ids[:, 1 + shift : length + 1 + shift]


def language_model(see: str = "past", vocabulary: int = 12) -> jr.Model:
    """A running mean of embeddings; `see` is "past", "one ahead", "before" (strictly) or "all"."""

    def init(key, inputs):
        return {"table": weights(vocabulary, 8), "head": jnp.zeros((8, vocabulary))}, {}

    def apply(params, state, inputs, *, key=None, train=False):
        x = params["table"][inputs]
        h = jnp.cumsum(x, axis=1)
        if see == "one ahead":
            h = jnp.concatenate([h[:, 1:], h[:, -1:]], axis=1)
        if see == "before":
            h = jnp.pad(h, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        if see == "all":
            h = h + x.sum(axis=1, keepdims=True)
        return jnp.tanh(h) @ params["head"], state

    return jr.Model(init, apply)


def sequence_task(model: jr.Model, shift: int = 1, **changes: Any) -> jr.Task:
    """A next-token task with a declared causal axis."""
    x, y = sequences(shift=shift)
    fields = {
        "model": model,
        "loss": jr.losses.token_cross_entropy(),
        "train": (x[:64], y[:64]),
        "val": (x[64:], y[64:]),
        "batch_size": 16,
        "causal_axis": 1,
        **changes,
    }
    return jr.Task(**fields)
