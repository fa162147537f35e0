"""Base programs on real pictures of digits: an MLP, a CNN, and fine-tuning of a frozen trunk."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits

import jrecipe as jr

TRAIN, VAL = 480, 240
lecun = nn.initializers.lecun_normal()
zeros = nn.initializers.zeros_init()
Split = tuple[Any, Any]


@functools.cache
def _all() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_digits(return_X_y=True)
    return x.astype(np.float32), y.astype(np.int32)


def raw_digits(
    seed: int, train: int = TRAIN, val: int = VAL, classes: Sequence[int] = range(10)
) -> tuple[Split, Split]:
    """Returns (train, val) of pictures in 0..16, float32[n, 64], and labels int32[n]."""
    x, y = _all()
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(y, classes)))
    rows = rows[: train + val]
    x, y = x[rows], y[rows] - min(classes)
    return (x[:train], y[:train]), (x[train:], y[train:])


def standard(x: np.ndarray) -> np.ndarray:
    """Returns pictures standardised by the mean and deviation of all pixels of all digits."""
    pixels = _all()[0]
    return ((x - pixels.mean()) / pixels.std()).astype(np.float32)


def digits(seed: int, **options: Any) -> tuple[Split, Split]:
    """Returns (train, val) of standardised digits; arrays that the caller may write into."""
    (x, y), (vx, vy) = raw_digits(seed, **options)
    return (standard(x), y), (standard(vx), vy)


def pictures(data: tuple[Split, Split]) -> tuple[Split, Split]:
    """Returns the same with inputs float32[n, 8, 8, 1]."""
    (x, y), (vx, vy) = data
    return (x.reshape(-1, 8, 8, 1), y), (vx.reshape(-1, 8, 8, 1), vy)


class MLP(nn.Module):
    """Dense_0 .. Dense_2; what follows a layer and how it starts can be given layer by layer."""

    outputs: int = 10
    widths: Sequence[int] = (64, 32)
    activations: Sequence[Callable[[Any], Any]] = (nn.relu, nn.relu)
    kernel_inits: Sequence[Any] = (lecun, lecun, lecun)
    bias_inits: Sequence[Any] = (zeros, zeros, zeros)
    last: Callable[[Any], Any] = lambda x: x

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, outputs] for vectors [b, n]."""
        starts = zip(self.kernel_inits, self.bias_inits, strict=True)
        for width, activate in zip(self.widths, self.activations, strict=True):
            kernel, bias = next(starts)
            x = activate(nn.Dense(width, kernel_init=kernel, bias_init=bias)(x))
        kernel, bias = next(starts)
        return self.last(nn.Dense(self.outputs, kernel_init=kernel, bias_init=bias)(x))


class CNN(nn.Module):
    """Conv_0, BatchNorm_0, Conv_1, BatchNorm_1, dropout, Dense_0."""

    momenta: Sequence[float] = (0.9, 0.9)
    dropout: float = 0.2
    flatten: Callable[[Any], Any] = lambda x: x.reshape(x.shape[0], -1)
    normalise: Sequence[Callable[[Any], Any] | None] = (None, None)
    drop_in_evaluation: bool = False

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns logits [b, 10] for pictures [b, 8, 8, 1]."""
        for features, momentum, own in zip((8, 16), self.momenta, self.normalise, strict=True):
            x = nn.Conv(features, (3, 3), strides=2, use_bias=False)(x)
            norm = nn.BatchNorm(use_running_average=not train, momentum=momentum)
            x = nn.relu(norm(x) if own is None else own(x))
        off = not (train or self.drop_in_evaluation)
        return nn.Dense(10)(nn.Dropout(self.dropout, deterministic=off)(self.flatten(x)))


def digits_mlp(seed: int, **changes: Any) -> jr.Task:
    """Digits, two hidden layers, Adam (Linen)."""
    train, val = changes.pop("data", None) or digits(seed)
    base: dict[str, Any] = {
        "model": MLP(),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(2e-3),
        "batch_size": 32,
        "name": "digits_mlp",
    }
    return jr.Task(**{**base, **changes})


def digits_cnn(seed: int, **changes: Any) -> jr.Task:
    """Digits as pictures, two convolutions with BatchNorm, dropout (Linen)."""
    data = changes.pop("data", None) or pictures(digits(seed))
    return digits_mlp(seed, **{"model": CNN(), "data": data, "name": "digits_cnn", **changes})


class Trunk(nn.Module):
    """Two layers of features."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns features [b, 64]."""
        return nn.relu(nn.Dense(64)(nn.relu(nn.Dense(64)(x))))


class Transfer(nn.Module):
    """A trunk that somebody else trained, and a head of one's own."""

    outputs: int = 5

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, outputs]."""
        head = nn.Dense(self.outputs, kernel_init=nn.initializers.zeros, name="head")
        return head(Trunk(name="trunk")(x))


@functools.cache
def trunk_weights() -> Any:
    """Returns the trunk after training on the digits 5 to 9, the same in every process."""
    (x, y), _ = digits(0, train=800, val=1, classes=range(5, 10))
    model, tx = Transfer(), optax.adam(1e-2)

    @jax.jit
    def step(params: Any, opt_state: Any) -> Any:
        def loss(params: Any) -> Any:
            logits = model.apply({"params": params}, x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        updates, opt_state = tx.update(jax.grad(loss)(params), opt_state)
        return optax.apply_updates(params, updates), opt_state

    params = jax.jit(model.init)(jax.random.key(0), x[:2])["params"]
    opt_state = tx.init(params)
    for _ in range(60):
        params, opt_state = step(params, opt_state)
    return jax.tree.map(np.asarray, params["trunk"])


def finetune(
    seed: int, load: Callable[[Any, Any], Any] = lambda new, loaded: loaded, **changes: Any
) -> jr.Task:
    """The digits 0 to 4 on top of a frozen trunk that learned 5 to 9 (Linen).

    Args:
      seed: draws the rows.
      load: `(freshly drawn trunk, trained trunk) -> trunk`.
      **changes: fields of the task.
    """
    loaded = trunk_weights()
    base: dict[str, Any] = {
        "data": digits(seed, train=400, val=200, classes=range(5)),
        "model": Transfer(),
        "frozen": ("trunk/*",),
        "name": "finetune",
    }
    task = digits_mlp(seed, **{**base, **changes})
    fresh = task.model.init

    def init(key: Any, inputs: Any) -> Any:
        params, state = fresh(key, inputs)
        trunk = load(params["trunk"], jax.tree.map(jnp.asarray, loaded))
        return {**params, "trunk": trunk}, state

    return task.replace(model=dataclasses.replace(task.model, init=init))
