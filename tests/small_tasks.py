"""Small tasks that train in a second, and one small network written in every way."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr

FEATURES, HIDDEN, CLASSES = 16, 12, 4


def pictures(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns noisy prototypes like tiny digits: float32[n, 16] and labels int32[n]."""
    prototypes = np.random.default_rng(0).normal(size=(CLASSES, FEATURES))
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, n - CLASSES)])
    inputs = prototypes[labels] + 0.7 * rng.normal(size=(n, FEATURES))
    return inputs.astype(np.float32), labels.astype(np.int32)


def plain(dropout: float = 0.0, norm: bool = False) -> jr.Model:
    """Returns dense, (BatchNorm,) ReLU, (dropout,) dense as two plain functions."""

    def init(key, inputs):
        first, last = jax.random.split(key)
        size = inputs.shape[1]
        params = {
            "first": {
                "kernel": jax.random.normal(first, (size, HIDDEN)) * (2 / size) ** 0.5,
                "bias": jnp.zeros(HIDDEN),
            },
            "last": {
                "kernel": jax.random.normal(last, (HIDDEN, CLASSES)) * 0.1,
                "bias": jnp.zeros(CLASSES),
            },
        }
        return params, {"mean": jnp.zeros(HIDDEN), "seen": jnp.zeros((), jnp.int32)} if norm else {}

    def apply(params, state, inputs, *, key=None, train=False):
        x = inputs @ params["first"]["kernel"] + params["first"]["bias"][None]
        if norm:
            mean = x.mean(0) if train else state["mean"]
            if train:
                state = {"mean": 0.5 * state["mean"] + 0.5 * mean, "seen": state["seen"] + 1}
            x = x - mean[None]
        x = jax.nn.relu(x)
        if train and dropout:
            kept = jax.random.bernoulli(key, 1 - dropout, x.shape)
            x = jnp.where(kept, x / (1 - dropout), 0.0)
        return x @ params["last"]["kernel"] + params["last"]["bias"][None], state

    return jr.Model(init, apply, name="plain")


def noise(key, batch: jr.Batch) -> jr.Batch:
    """Augments by adding noise."""
    return batch._replace(inputs=batch.inputs + 0.1 * jax.random.normal(key, batch.inputs.shape))


def small(**changes) -> jr.Task:
    """Returns a task of 60 training and 23 validation examples in batches of 16."""
    given = {
        "model": plain(),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": pictures(60, 1),
        "val": pictures(23, 2),
        "optimizer": optax.adam(1e-2),
        "batch_size": 16,
        "name": "small",
    }
    return jr.Task(**{**given, **changes})


def batch_of(n: int, seed: int = 0) -> jr.Batch:
    """Returns a batch of `n` examples, all of weight 1."""
    inputs, labels = pictures(n, seed)
    return jr.Batch(jnp.asarray(inputs), jnp.asarray(labels), jnp.ones(n))


@dataclasses.dataclass
class Remote:
    """A source that is no `ArraySource`, so that it is streamed."""

    inputs: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows):
        return self.inputs[rows], self.targets[rows]


def assert_identical(a, b) -> None:
    """Asserts that two pytrees are equal to the bit, typed keys included."""

    def plain_array(x):
        typed = isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(x) if typed else x)

    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(plain_array(x), plain_array(y)), a, b)


def assert_close(a, b, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Asserts that two pytrees are equal to rounding."""
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=rtol, atol=atol), a, b)
