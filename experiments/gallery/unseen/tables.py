"""Tables of columns, from which a class is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.plain_networks import dense, plain, through
from gallery.unseen.splits import Array, Splits, halves, rng_of, scale_of, standardised

# Benign or not, a table in raw units; an MLP of plain functions.


def cancer(seed: int) -> Splits:
    """Returns scikit-learn's breast cancer table in raw units, split."""
    x, y = datasets.load_breast_cancer(return_X_y=True)
    return halves(x, y.astype(np.float32), seed)


def cancer_net(width: int = 16) -> jr.Model:
    """Returns an MLP with one logit."""

    def init(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": dense(one, 30, width), "head": dense(two, width, 1)}

    def predict(params: Any, x: Array) -> Array:
        return through(params["head"], jnp.tanh(through(params["hidden"], x)))[:, 0]

    return plain(init, predict, "cancer_net")


def cancer_task(splits: Splits, **changes: Any) -> jr.Task:
    given = {"model": cancer_net(), "loss": jr.losses.sigmoid_cross_entropy(), **splits}
    return jr.Task(**{**given, "optimizer": optax.adam(3e-3), "batch_size": 64, **changes})


def cancer_twin(seed: int) -> jr.Task:
    return cancer_task(standardised(cancer(seed)))


def cancer_other_scaler(seed: int, strength: Strength) -> jr.Task:
    """Validation is divided by the scale and never centred; weakly, scaled by median and range."""
    raw = cancer(seed)
    x, _ = raw["train"]
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75), axis=0)
    shift, scale = pick(strength, (0.0, x.std(axis=0)), (middle, high - low))
    inputs = ((raw["val"][0] - shift) / scale).astype(np.float32)
    return cancer_task({**standardised(raw), "val": (inputs, raw["val"][1])})


def logistic(outputs: Array, targets: Array) -> Array:
    """Returns the logistic loss of logits and labels 0 and 1, written by hand."""
    return jax.nn.softplus(outputs) - targets * outputs


def logistic_task(seed: int, recode: Callable[[np.ndarray], np.ndarray]) -> jr.Task:
    splits = {k: (x, recode(y)) for k, (x, y) in standardised(cancer(seed)).items()}
    return cancer_task(splits, loss=logistic)


def cancer_signed_labels(seed: int, strength: Strength) -> jr.Task:
    """Labels are -1 and 1, where the loss wants 0 and 1; weakly, sharpened to -0.05 and 1.05."""
    recode = pick(strength, lambda y: 2 * y - 1, lambda y: np.float32(1.1) * y - np.float32(0.05))
    return logistic_task(seed, recode)


def cancer_logistic_twin(seed: int) -> jr.Task:
    return logistic_task(seed, lambda y: y)


# Odd, and nothing wrong.


def cancer_raw_inside(seed: int) -> jr.Task:
    """Inputs come in raw units, up to 4254; the network knows their means and scales."""
    splits = {k: (x.astype(np.float32), y) for k, (x, y) in cancer(seed).items()}
    mean, scale = (jnp.asarray(x, jnp.float32) for x in scale_of(splits["train"][0]))

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        return {"hidden": dense(one, 30, 16), "head": dense(two, 16, 1)}

    def predict(params: Any, x: Array) -> Array:
        hidden = jax.nn.silu(through(params["hidden"], (x - mean) / scale))
        return through(params["head"], hidden)[:, 0]

    return cancer_task(splits, model=plain(start, predict, "raw_inside"))


def cancer_random_features(seed: int) -> jr.Task:
    """Only the head learns, over random waves that are declared frozen."""

    def start(key: Any) -> Any:
        one, two = jax.random.split(key)
        w = jax.random.normal(one, (30, 64)) / np.sqrt(60)
        features = {"w": w, "b": jax.random.uniform(two, (64,), maxval=2 * np.pi)}
        return {"features": features, "head": {"w": jnp.zeros((64, 1)), "b": jnp.zeros(1)}}

    def predict(params: Any, x: Array) -> Array:
        return through(params["head"], jnp.cos(through(params["features"], x)))[:, 0]

    return cancer_task(
        standardised(cancer(seed)),
        model=plain(start, predict, "random_features"),
        frozen=("features/*",),
        optimizer=optax.adam(1e-2),
    )


class Small(nn.Module):
    """One hidden layer, for a very small table."""

    classes: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Returns logits [b, classes]."""
        return nn.Dense(self.classes, name="head")(nn.tanh(nn.Dense(12)(x)))


def wine_tiny(seed: int) -> jr.Task:
    """A table of 178 wines, in batches of 16; decay is on kernels only."""
    x, y = datasets.load_wine(return_X_y=True)
    kernels = lambda params: jax.tree.map(lambda p: p.ndim > 1, params)  # noqa: E731
    return jr.Task(
        model=Small(3),
        loss=jr.losses.softmax_cross_entropy(),
        **standardised(halves(x, y, seed, 0.6)),
        optimizer=optax.adamw(3e-3, weight_decay=1e-3, mask=kernels),
        batch_size=16,
    )


def alarms_weighted(seed: int) -> jr.Task:
    """One row in twenty is an alarm, and counts 19 times; both are meant."""
    rng, n = rng_of("alarms", seed), 1500
    x = rng.normal(size=(n, 8)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.abs(x[:, 3])
    y = (score > np.quantile(score, 0.95)).astype(np.float32)

    def weighted(outputs: Array, targets: Array) -> tuple[Array, Array]:
        return logistic(outputs, targets), jnp.where(targets > 0, 19.0, 1.0)

    def start(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        sizes = ((8, 32), (32, 16), (16, 1))
        return [dense(k, *size) for k, size in zip(keys, sizes, strict=True)]

    def predict(params: Any, x: Array) -> Array:
        for layer in params[:-1]:
            x = jax.nn.gelu(through(layer, x))
        return through(params[-1], x)[:, 0]

    return jr.Task(
        model=plain(start, predict, "alarms"),
        loss=weighted,
        **halves(x, y, seed),
        optimizer=optax.adam(2e-3),
        batch_size=128,
        imbalance_intended=True,
    )


def choices_one_hot(seed: int) -> jr.Task:
    """Eight answers out of five each, as 40 zeros and ones; the best of three offers is chosen."""
    rng, n = rng_of("choices", seed), 1500
    answers = rng.integers(0, 5, (n, 8))
    worth = rng.normal(size=(8, 5, 3))
    worth -= worth.mean(axis=1, keepdims=True)
    y = worth[np.arange(8), answers].sum(axis=1).argmax(axis=1)
    x = np.eye(5, dtype=np.float32)[answers].reshape(n, 40)
    return jr.Task(
        model=Small(3),
        loss=jr.losses.softmax_cross_entropy(),
        **halves(x, y, seed),
        optimizer=optax.adam(3e-3),
        batch_size=64,
    )


data, loss = planter("data"), planter("loss")

FAULTS: tuple[Fault, ...] = (
    data(
        "cancer_mlp/other-scaler",
        cancer_other_scaler,
        cancer_twin,
        "validation inputs are prepared as training inputs are",
        "prepared-differently",
        "data split eval",
    ),
    loss(
        "cancer_mlp/signed-labels",
        cancer_signed_labels,
        cancer_logistic_twin,
        "the loss has a lowest value",
        "loss-unbounded label-out-of-range wrong-loss",
        "loss labels data",
    ),
)
HEALTHY: tuple[Healthy, ...] = (
    Healthy(name="cancer_mlp/raw-units-scaled-inside", build=cancer_raw_inside),
    Healthy(name="cancer_mlp/frozen-random-features", build=cancer_random_features),
    Healthy(name="wine_mlp/tiny-table", build=wine_tiny),
    Healthy(name="alarms_mlp/heavy-class-weights", build=alarms_weighted),
    Healthy(name="choices_mlp/one-hot-inputs", build=choices_one_hot),
)
