"""One network written three times, and the networks that jrecipe ships, for the same tests."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import nnx

from jrecipe.models import MLP, ConvNet, Linear
from jrecipe.types import Model

FEATURES, HIDDEN, CLASSES, RATE, MOMENTUM = 3, 8, 4, 0.5, 0.9


class LinenNet(nn.Module):
    """Dense, BatchNorm, ReLU, dropout, dense."""

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Dense(HIDDEN)(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM)(x))
        x = nn.Dropout(RATE, deterministic=not train)(x)
        return nn.Dense(CLASSES)(x)


class LinenCallNet(nn.Module):
    """The same with its modes given when the layers are called."""

    @nn.compact
    def __call__(self, x, *, deterministic: bool = True, use_running_average: bool = True):
        x = nn.Dense(HIDDEN)(x)
        x = nn.relu(nn.BatchNorm(momentum=MOMENTUM)(x, use_running_average))
        x = nn.Dropout(RATE)(x, deterministic=deterministic)
        return nn.Dense(CLASSES)(x)


class NnxNet(nnx.Module):
    """The same in NNX."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.first = nnx.Linear(FEATURES, HIDDEN, rngs=rngs)
        self.norm = nnx.BatchNorm(HIDDEN, momentum=MOMENTUM, rngs=rngs)
        self.dropout = nnx.Dropout(RATE, rngs=rngs)
        self.last = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.norm(self.first(x)))))


class NnxCallNet(NnxNet):
    """The same with its modes given when the layers are called."""

    def __call__(self, x, training: bool):
        x = nnx.relu(self.norm(self.first(x), use_running_average=not training))
        return self.last(self.dropout(x, deterministic=not training))


def plain_net() -> Model:
    """Returns the same as two plain functions."""

    def init(key, inputs):
        first, last = jax.random.split(key)
        params = {
            "first": {
                "kernel": jax.random.normal(first, (FEATURES, HIDDEN)) / FEATURES**0.5,
                "bias": jnp.zeros(HIDDEN),
            },
            "norm": {"scale": jnp.ones(HIDDEN), "bias": jnp.zeros(HIDDEN)},
            "last": {
                "kernel": jax.random.normal(last, (HIDDEN, CLASSES)) / HIDDEN**0.5,
                "bias": jnp.zeros(CLASSES),
            },
        }
        return params, {"mean": jnp.zeros(HIDDEN), "var": jnp.ones(HIDDEN)}

    def apply(params, state, inputs, *, key=None, train=False):
        x = inputs @ params["first"]["kernel"] + params["first"]["bias"][None]
        mean, var = state["mean"], state["var"]
        if train:
            mean, var = x.mean(0), x.var(0)
            state = {
                "mean": MOMENTUM * state["mean"] + (1 - MOMENTUM) * mean,
                "var": MOMENTUM * state["var"] + (1 - MOMENTUM) * var,
            }
        x = (x - mean[None]) / jnp.sqrt(var[None] + 1e-5)
        x = jax.nn.relu(x * params["norm"]["scale"][None] + params["norm"]["bias"][None])
        if train:
            x = jnp.where(jax.random.bernoulli(key, 1 - RATE, x.shape), x / (1 - RATE), 0.0)
        return x @ params["last"]["kernel"] + params["last"]["bias"][None], state

    return Model(init, apply, name="plain")


WRITTEN = {
    "linen": LinenNet(),
    "linen-call": LinenCallNet(),
    "nnx": lambda rngs: NnxNet(rngs=rngs),
    "nnx-call": NnxCallNet,
    "plain": plain_net(),
}


def shipped(outputs: int, **options) -> dict:
    """Returns every shipped network: name -> (module, shape of one input)."""
    return {
        "linear": (Linear(outputs, **options), (FEATURES,)),
        "mlp": (MLP(outputs, width=16, dropout=0.3, **options), (FEATURES,)),
        "convnet": (ConvNet(outputs, width=4, depth=1, dropout=0.3, **options), (8, 8, 1)),
        "convnet-norm": (
            ConvNet(outputs, width=4, depth=1, norm=True, head="flatten", **options),
            (8, 9, 2),
        ),
    }


SHIPPED = shipped(CLASSES, head_init="lecun")
EVERY = {
    **{name: (network, (FEATURES,)) for name, network in WRITTEN.items()},
    **SHIPPED,
}
