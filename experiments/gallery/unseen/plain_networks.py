"""Networks of two plain functions, `init(key)` and `predict(params, inputs)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jrecipe as jr
from gallery.unseen.splits import Array


def plain(init: Callable[[Any], Any], predict: Callable[[Any, Any], Array], name: str) -> jr.Model:
    """Returns a network of two plain functions, `init(key)` and `predict(params, inputs)`."""

    def start(key: Any, inputs: Any) -> tuple[Any, Any]:
        del inputs
        return init(key), {}

    def apply(
        params: Any, state: Any, inputs: Any, *, key: Any = None, train: bool = False
    ) -> tuple[Array, Any]:
        del key, train
        return predict(params, inputs), state

    return jr.Model(start, apply, name=name)


def dense(key: Any, fan_in: int, fan_out: int) -> dict[str, Array]:
    """Returns the weights and biases of a layer."""
    w = jax.random.normal(key, (fan_in, fan_out)) / np.sqrt(fan_in)
    return {"w": w, "b": jnp.zeros(fan_out)}


def through(layer: dict[str, Array], x: Array) -> Array:
    """Returns the outputs of a layer made by `dense`."""
    return x @ layer["w"] + layer["b"]
