"""What the healthy programs are put together from: small data with known laws, a net, two tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr

Split = tuple[Any, Any]
Splits = tuple[Split, Split]
TRAIN, VAL = 320, 160


@functools.cache
def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return ((x - x.mean()) / x.std()).astype(np.float32), y.astype(np.int32)


def cut(inputs: Any, targets: Any, train: int = TRAIN) -> Splits:
    """Returns (train, val): the first rows and the rest of arrays or of dicts of arrays."""
    head = jax.tree.map(lambda a: a[:train], (inputs, targets))
    rest = jax.tree.map(lambda a: a[train:], (inputs, targets))
    return head, rest


def digits(seed: int, train: int = TRAIN, val: int = VAL) -> Splits:
    """Returns (train, val) of standardised real digits: float32[n, 64] and int32[n]."""
    x, y = _all_digits()
    rows = np.random.default_rng(seed).permutation(len(x))[: train + val]
    return cut(x[rows], y[rows], train)


def pictures(seed: int, train: int = TRAIN, val: int = VAL) -> Splits:
    """Returns the digits as pictures float32[n, 8, 8, 1]."""
    return on_inputs(digits(seed, train, val), lambda x: x.reshape(-1, 8, 8, 1))


def on_inputs(data: Splits, change: Callable[[Any], Any]) -> Splits:
    """Returns both splits with their inputs changed."""
    (x, y), (vx, vy) = data
    return (change(x), y), (change(vx), vy)


def on_targets(data: Splits, change: Callable[[Any], Any]) -> Splits:
    """Returns both splits with their targets changed."""
    (x, y), (vx, vy) = data
    return (x, change(y)), (vx, change(vy))


def numbers(
    seed: int, mean: float = 0.0, scale: float = 1.0, noise: float = 0.1, outputs: int = 1
) -> Splits:
    """Returns a smooth function of 8 features: float32[n, 8] and float32[n, outputs]."""
    rng = np.random.default_rng([seed, 2])
    x = rng.normal(size=(TRAIN + VAL, 8)).astype(np.float32)
    signal = np.tanh(x[:, :outputs]) + 0.5 * np.roll(x, -1, axis=1)[:, :outputs]
    y = mean + scale * (signal + noise * rng.normal(size=signal.shape))
    return cut(x, y.astype(np.float32))


def tokens(seed: int, length: int = 10, vocabulary: int = 12) -> Splits:
    """Returns inputs and the same one step later of a Markov chain: int32[n, length] both.

    Each token has two likely successors; all tokens are equally frequent.
    """
    rng = np.random.default_rng([seed, 3])
    follows = np.stack([rng.permutation(vocabulary) for _ in range(2)], axis=1)
    ids = np.empty((TRAIN + VAL, length + 1), np.int32)
    ids[:, 0] = rng.integers(0, vocabulary, len(ids))
    for t in range(length):
        likely = follows[ids[:, t], (rng.random(len(ids)) < 0.3).astype(int)]
        free = rng.integers(0, vocabulary, len(ids))
        ids[:, t + 1] = np.where(rng.random(len(ids)) < 0.15, free, likely)
    return cut(ids[:, :-1], ids[:, 1:])


def padded(seed: int, length: int = 7) -> Splits:
    """Returns padded sequences and, for each token, a function of it and its left neighbour."""
    rng = np.random.default_rng([seed, 4])
    ids = rng.integers(1, 8, (TRAIN + VAL, length)).astype(np.int32)
    real = np.arange(length)[None] < rng.integers(3, length + 1, len(ids))[:, None]
    before = np.concatenate([np.zeros_like(ids[:, :1]), ids[:, :-1]], axis=1)
    tags = 1 + (ids > 3) * 2 + (before > 3)
    return cut(np.where(real, ids, 0), np.where(real, tags, 0).astype(np.int32))


class Net(nn.Module):
    """A plain network with what the programs vary."""

    outputs: int = 10
    hidden: Sequence[int] = (48,)
    dropout: float = 0.0
    norm: Callable[[bool], Callable[[Any], Any]] | None = None
    activate: Callable[[Any], Any] = nn.relu
    head_init: Callable[..., Any] = nn.initializers.lecun_normal()
    squeeze: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Any, train: bool = False) -> Any:
        """Returns float[b, outputs], or [b] if squeezed."""
        x = x.reshape(x.shape[0], -1).astype(self.dtype)
        for width in self.hidden:
            x = nn.Dense(width, dtype=self.dtype)(x)
            if self.norm is not None:
                x = self.norm(train)(x)
            x = nn.Dropout(self.dropout, deterministic=not train)(self.activate(x))
        x = nn.Dense(self.outputs, dtype=self.dtype, kernel_init=self.head_init)(x)
        return x[:, 0] if self.squeeze else x


def batch_norm(train: bool) -> nn.Module:
    """Returns BatchNorm in its mode, for `Net.norm`."""
    return nn.BatchNorm(use_running_average=not train)


def task(seed: int, data: Splits, **fields: Any) -> jr.Task:
    """Returns a task on two splits; Adam at 1e-3 and batches of 32 unless said otherwise."""
    del seed
    base = {"optimizer": optax.adam(1e-3), "batch_size": 32, "train": data[0], "val": data[1]}
    return jr.Task(**{**base, **fields})


def classify(seed: int, model: Any = None, data: Splits | None = None, **fields: Any) -> jr.Task:
    """Returns a healthy task on the digits."""
    fields.setdefault("loss", jr.losses.softmax_cross_entropy())
    return task(seed, data or digits(seed), model=Net() if model is None else model, **fields)


def regress(seed: int, model: Any = None, data: Splits | None = None, **fields: Any) -> jr.Task:
    """Returns a healthy regression of a smooth function."""
    fields.setdefault("loss", jr.losses.l2())
    return task(seed, data or numbers(seed), model=Net(1) if model is None else model, **fields)


def language(seed: int, model: Any, **fields: Any) -> jr.Task:
    """Returns a next-token task with its causal axis declared."""
    fields = {"optimizer": optax.adam(5e-3), "causal_axis": 1, **fields}
    return task(seed, tokens(seed), model=model, loss=jr.losses.token_cross_entropy(), **fields)


def cross_entropy(outputs: Any, targets: Any) -> Any:
    """A cross-entropy of the user's own, which has no law: float32[b]."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


def squared(outputs: Any, targets: Any) -> Any:
    """The mean squared error of the user's own: float32[b]."""
    return jnp.mean((outputs - targets) ** 2, axis=tuple(range(1, outputs.ndim)))
