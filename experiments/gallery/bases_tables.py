"""Base programs on tables: a rare class (plain JAX functions) and a regression (NNX)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jrecipe as jr

TRAIN, VAL = 550, 300
Split = tuple[Any, Any]
same = lambda x: x  # noqa: E731


def cut(x: np.ndarray, y: np.ndarray, train: int = TRAIN) -> tuple[Split, Split]:
    """Returns (train, val): the first rows, and the rest."""
    return (x[:train], y[:train]), (x[train:], y[train:])


def rare(seed: int, share: float = 1 / 11) -> tuple[Split, Split]:
    """Returns (train, val): 10 standard features, and 1.0 for the `share` of rows that score best.

    The score is not linear in the features; there is no noise in it.
    """
    rng = np.random.default_rng([seed, 2])
    x = rng.normal(size=(TRAIN + VAL, 10)).astype(np.float32)
    score = x[:, 0] + 0.8 * x[:, 1] + 0.6 * np.abs(x[:, 2]) + 0.5 * x[:, 3] * (x[:, 4] > 0)
    return cut(x, (score > np.quantile(score, 1 - share)).astype(np.float32))


def table_model(
    bias: float | None,
    outputs: int = 1,
    hidden: Callable[[Any], Any] = lambda w: w,
    between: Callable[[Any], Any] = jax.nn.relu,
    last: Callable[[Any], Any] = lambda x: x[:, 0],
    inner: Callable[[Any], Any] = same,
) -> jr.Model:
    """Returns 32 hidden units as two plain functions over {"hidden", "head"}: {"w", "b"}.

    Args:
      bias: where the final bias starts; None for 0.
      outputs: units of the head.
      hidden: changes the hidden weights as they are drawn.
      between: the activation.
      last: what is done to the outputs.
      inner: `(hidden parameters) -> hidden parameters` that the network uses.
    """

    def init(key: Any, inputs: Any) -> Any:
        first, second = jax.random.split(key)
        width = inputs.shape[1]
        layer = lambda key, n, m: jax.random.normal(key, (n, m)) / n**0.5  # noqa: E731
        params = {
            "hidden": {"w": hidden(layer(first, width, 32)), "b": jnp.zeros(32)},
            "head": {"w": layer(second, 32, outputs), "b": jnp.full(outputs, bias or 0.0)},
        }
        return params, {}

    def apply(params: Any, state: Any, x: Any, *, key: Any = None, train: bool = False) -> Any:
        del key, train
        first, head = inner(params["hidden"]), params["head"]
        h = between(x @ first["w"] + first["b"][None])
        return last(h @ head["w"] + head["b"][None]), state

    return jr.Model(init, apply, name="table")


def logit(y: Any) -> float:
    """Returns the logit of the share of ones."""
    share = float(np.mean(y))
    return float(np.log(share / (1 - share)))


def tabular_imbalanced(seed: int, **changes: Any) -> jr.Task:
    """One row in eleven is positive, as intended, and the final bias knows it (plain JAX)."""
    train, val = changes.pop("data", None) or rare(seed)
    base: dict[str, Any] = {
        "loss": jr.losses.sigmoid_cross_entropy(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(3e-3),
        "batch_size": 32,
        "imbalance_intended": True,
        "name": "tabular_imbalanced",
    }
    task = {**base, **changes}
    if "model" not in task:
        task["model"] = table_model(logit(train[1]))
    return jr.Task(**task)


def numbers(seed: int, noise: float = 0.1) -> tuple[Split, Split]:
    """Returns (train, val): 8 standard features and a standardised non-linear number [n, 1]."""
    rng = np.random.default_rng([seed, 3])
    x = rng.normal(size=(TRAIN + VAL, 8)).astype(np.float32)
    y = np.sin(1.5 * x[:, 0]) + 0.6 * x[:, 1] + 0.5 * np.abs(x[:, 2]) - 0.3 * x[:, 3]
    y = y + noise * rng.normal(size=len(y))
    return cut(x, ((y - y.mean()) / y.std()).astype(np.float32)[:, None])


class Regressor(nnx.Module):
    """Two hidden layers: first, second, head."""

    def __init__(
        self,
        rngs: nnx.Rngs,
        activations: tuple[Any, Any] = (jax.nn.relu, jax.nn.relu),
        scales: tuple[float, float, float] = (1.0, 1.0, 1.0),
        bias: float = 0.0,
        prepare: Callable[[Any], Any] = same,
        last: Callable[[Any], Any] = same,
    ) -> None:
        start = [nnx.initializers.variance_scaling(s, "fan_in", "normal") for s in scales]
        self.first = nnx.Linear(8, 48, kernel_init=start[0], rngs=rngs)
        self.second = nnx.Linear(48, 32, kernel_init=start[1], rngs=rngs)
        final = nnx.initializers.constant(bias)
        self.head = nnx.Linear(32, 1, kernel_init=start[2], bias_init=final, rngs=rngs)
        self.activations, self.prepare, self.last = activations, prepare, last

    def __call__(self, x: Any) -> Any:
        """Returns numbers [b, 1]."""
        x = self.activations[0](self.first(self.prepare(x)))
        return self.last(self.head(self.activations[1](self.second(x))))


def regressor(**options: Any) -> Callable[[nnx.Rngs], nnx.Module]:
    """Returns an NNX factory of a `Regressor`."""
    return lambda rngs: Regressor(rngs, **options)


def regression(seed: int, **changes: Any) -> jr.Task:
    """A smooth number of 8 features, standardised (NNX)."""
    train, val = changes.pop("data", None) or numbers(seed)
    base: dict[str, Any] = {
        "model": regressor(),
        "loss": jr.losses.l2(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(2e-3),
        "batch_size": 32,
        "name": "regression",
    }
    return jr.Task(**{**base, **changes})
