"""The networks that several of the loops train, as plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jrecipe as jr
from gallery.unseen.loop_data import Data

Params = Any  # nested dicts of arrays
Forward = Callable[[Params, Any], jax.Array]


def layer(key: Any, fan_in: int, fan_out: int, gain: float = 2.0) -> Params:
    """Returns a matrix of He's scale and a bias of zeros."""
    scale = np.sqrt(gain / fan_in)
    return {"w": scale * jax.random.normal(key, (fan_in, fan_out)), "b": jnp.zeros(fan_out)}


def mlp(*sizes: int, bias: float = 0.0) -> Callable[[Any], Params]:
    """Returns `(key) -> params` of two or three layers, the last of them small, with a bias."""
    names = ("stem", "head") if len(sizes) == 3 else ("stem", "hidden", "head")

    def init(key: Any) -> Params:
        keys = jax.random.split(key, len(names))
        ends = zip(names, keys, sizes[:-1], sizes[1:], strict=True)
        params = {name: layer(k, i, o, 0.05 if name == "head" else 2.0) for name, k, i, o in ends}
        params["head"]["b"] += bias
        return params

    return init


def log_odds(data: Data) -> float:
    """Returns the logit of the share of yes among the training targets."""
    rate = float(data[0][1].mean())
    return float(np.log(rate / (1 - rate)))


def dense(part: Params, x: jax.Array) -> jax.Array:
    return x @ part["w"] + part["b"]


def features(params: Params, x: jax.Array) -> jax.Array:
    """Returns what enters the head."""
    x = x.reshape(len(x), -1)
    for name in ("stem", "hidden"):
        if name in params:
            x = jax.nn.relu(dense(params[name], x))
    return x


def forward(params: Params, x: jax.Array) -> jax.Array:
    return dense(params["head"], features(params, x))


def column(params: Params, x: jax.Array) -> jax.Array:
    """Returns the only output, float[b]."""
    return forward(params, x)[:, 0]


def wave_init(key: Any) -> Params:
    stem, hidden, head = jax.random.split(key, 3)
    return {
        "stem": layer(stem, 8, 24),
        "hidden": layer(hidden, 24, 24),
        "head": layer(head, 24, 3, 0.05),
    }


def wave_forward(params: Params, x: jax.Array) -> jax.Array:
    """Windows of 8 samples, two layers on each, the mean over windows."""
    windows = x[:, np.arange(0, 25, 2)[:, None] + np.arange(8)]
    hidden = jax.nn.relu(dense(params["stem"], windows))
    return dense(params["head"], jax.nn.relu(dense(params["hidden"], hidden)).mean(axis=1))


def declared(init: Callable[[Any], Params], forward: Forward) -> jr.Model:
    """Returns a network without state for `Task.model`."""

    def apply(
        params: Params, state: Any, inputs: Any, *, key: Any = None, train: bool = False
    ) -> tuple[jax.Array, Any]:
        del key, train
        return forward(params, inputs), state

    return jr.Model(init=lambda key, inputs: (init(key), {}), apply=apply)
