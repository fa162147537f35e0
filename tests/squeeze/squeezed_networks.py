"""Small networks with numbers, for tests of what makes them smaller and writes them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import jrecipe as jr
from jrecipe.squeeze import Network


def inputs_of(n: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def network(module, inputs, seed: int = 0) -> Network:
    """Returns a network whose numbers are all drawn, by NumPy, which compiles nothing."""
    model = jr.models.as_model(module)
    rng = np.random.default_rng(seed)
    params, state = jax.eval_shape(model.init, jax.random.key(0), inputs)
    draw = lambda w: rng.normal(size=w.shape, scale=0.3).astype(w.dtype)  # noqa: E731
    means_and_variances = jax.tree.map(lambda w: np.ones(w.shape, w.dtype), state)
    return Network(model, jax.tree.map(draw, params), means_and_variances)


class Odd(nn.Module):
    """Pictures through one convolution and a norm, with a dict of two outputs."""

    @nn.compact
    def __call__(self, inputs, *, train: bool = False):
        x = nn.Conv(4, (3, 3))(inputs["picture"])
        x = nn.BatchNorm(not train)(x)
        x = nn.max_pool(x, (2, 2), strides=(2, 2))  # positional, as flax's own examples
        x = x.reshape(x.shape[0], -1)
        both = jnp.concatenate([nn.relu(x), inputs["extra"]], axis=1)
        return {"classes": nn.Dense(3)(both), "size": nn.Dense(1)(both)[:, 0]}


def odd(n: int = 20) -> tuple[Network, dict]:
    inputs = {"picture": inputs_of(n, 6, 6, 1), "extra": inputs_of(n, 2, seed=1)}
    return network(Odd(), inputs), inputs


def texts(n: int = 20) -> tuple[Network, dict]:
    """A classifier on a small BERT, of texts padded to eight tokens."""
    encoder = jr.models.Bert(30, width=8, depth=1, heads=2, hidden=16, length=8)
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 30, (n, 8)).astype(np.int32)
    inputs = {"ids": ids, "mask": np.arange(8)[None] < rng.integers(1, 9, (n, 1))}
    return network(jr.models.TextClassifier(encoder, outputs=3), inputs), inputs
