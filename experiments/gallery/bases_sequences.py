"""Base programs on sequences: a causal language model of characters, and a padded tagger."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import datasets

import jrecipe as jr

Split = tuple[Any, Any]
LENGTH, VOCABULARY, WIDTH = 16, 27, 16
same = lambda x: x  # noqa: E731


@functools.cache
def text() -> np.ndarray:
    """Returns ids int32[n] of descriptions of data sets: 0 is a space, 1..26 are a to z."""
    names = ("breast_cancer", "wine", "iris", "diabetes", "digits", "linnerud")
    prose = " ".join(getattr(datasets, f"load_{name}")().DESCR for name in names)
    prose = re.sub(r"[^a-z]+", " ", prose.lower())
    return np.array([0 if c == " " else ord(c) - 96 for c in prose], np.int32)


def characters(seed: int, train: int = 360, val: int = 120) -> tuple[Split, Split]:
    """Returns (train, val) of windows that do not overlap: ids [n, 16] and the next ids [n, 16]."""
    ids = text()
    starts = np.arange(0, len(ids) - LENGTH - 1, LENGTH + 1)
    windows = np.stack([ids[s : s + LENGTH + 1] for s in starts])
    windows = np.unique(windows, axis=0)  # a phrase that the prose repeats counts once
    windows = np.random.default_rng([seed, 4]).permutation(windows)[: train + val]
    x, y = windows[:, :-1], windows[:, 1:]
    return (x[:train], y[:train]), (x[train:], y[train:])


def log_prior(ids: Any, size: int) -> np.ndarray:
    """Returns the log share of each id, half a token standing in for none."""
    counts = np.maximum(np.bincount(np.ravel(ids), minlength=size), 0.5)
    return np.log(counts / counts.sum()).astype(np.float32)


def constant(values: np.ndarray) -> Callable[..., Any]:
    """Returns an initialiser with these values."""
    return lambda key, shape, dtype=jnp.float32: jnp.asarray(values, dtype).reshape(shape)


def causal(ahead: int) -> np.ndarray:
    """Returns a mask [1, 1, t, t], 1 where a position (row) may read: up to `ahead`."""
    return np.tril(np.ones((LENGTH, LENGTH), np.float32), ahead)[None, None]


class LanguageModel(nn.Module):
    """tokens + positions, one pre-norm block (attention, mlp_in, mlp_out), head."""

    bias: Any = None
    mask: Callable[[Any], Any] | None = lambda ids: causal(0)
    mix: Callable[[Any], Any] = same  # after the block
    weigh: Callable[[Any], Any] = lambda scores: jax.nn.softmax(scores, axis=-1)
    head_scale: float = 0.3
    last: Callable[[Any], Any] = same

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        """Returns logits [b, t, 27] of the next characters."""
        positions = self.param("positions", nn.initializers.normal(0.3), (LENGTH, WIDTH))
        x = nn.Embed(VOCABULARY, WIDTH, name="tokens")(ids) + positions[None]
        x = x + self.attend(nn.LayerNorm()(x), None if self.mask is None else self.mask(ids))
        h = nn.relu(nn.Dense(32, name="mlp_in")(nn.LayerNorm()(x)))
        x = self.mix(x + nn.Dense(WIDTH, name="mlp_out")(h))
        start = nn.initializers.variance_scaling(self.head_scale, "fan_in", "normal")
        bias = constant(log_prior(characters(0)[0][1], VOCABULARY))
        head = nn.Dense(VOCABULARY, kernel_init=start, bias_init=bias, name="head")
        return self.last(head(nn.LayerNorm()(x)))

    def attend(self, x: Any, mask: Any) -> Any:
        """Two heads of 8."""
        q, k, v = (nn.DenseGeneral((2, 8), name=name)(x) for name in ("query", "key", "value"))
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 8**0.5
        if mask is not None:
            scores = jnp.where(mask > 0, scores, -1e9)
        return nn.DenseGeneral(WIDTH, axis=(-2, -1), name="out")(
            jnp.einsum("bhqk,bkhd->bqhd", self.weigh(scores), v)
        )


def char_lm(seed: int, **changes: Any) -> jr.Task:
    """A causal transformer of one layer over characters of real prose (Linen)."""
    train, val = changes.pop("data", None) or characters(seed)
    base: dict[str, Any] = {
        "model": LanguageModel(),
        "loss": jr.losses.token_cross_entropy(),
        "train": train,
        "val": val,
        "optimizer": optax.adam(5e-3),
        "batch_size": 16,
        "causal_axis": 1,
        "name": "char_lm",
    }
    return jr.Task(**{**base, **changes})


WORDS, TAGS, TIME = 12, 4, 10


def sentences(seed: int, train: int = 400, val: int = 200) -> tuple[Split, Split]:
    """Returns (train, val): {"ids": int32[n, 10], "mask": float32[n, 10]} and tags int32[n, 10].

    Sentences have 4 to 10 words 1..11 and are padded with 0. The tag 1..3 of a word is its rest by
    3, and one further after one of the words 9, 10 and 11.
    """
    rng = np.random.default_rng([seed, 5])
    ids = rng.integers(1, WORDS, (train + val, TIME)).astype(np.int32)
    mask = np.arange(TIME) < rng.integers(4, TIME + 1, (len(ids), 1))
    before = np.concatenate([np.zeros((len(ids), 1), np.int32), ids[:, :-1]], axis=1)
    tags = np.where(mask, 1 + (ids + (before > 8)) % 3, 0).astype(np.int32)
    x = {"ids": np.where(mask, ids, 0).astype(np.int32), "mask": mask.astype(np.float32)}
    take = lambda rows: ({k: v[rows] for k, v in x.items()}, tags[rows])  # noqa: E731
    return take(slice(train)), take(slice(train, None))


class Tagger(nn.Module):
    """Words, a convolution over time, the mean of the sentence, and an answer at each position."""

    blank: bool = True  # the embedding of padding is zeros
    masked_mean: bool = True
    last: Callable[[Any], Any] = same

    @nn.compact
    def __call__(self, inputs: Any) -> Any:
        """Returns logits [b, t, 4]."""
        mask = inputs["mask"][..., None]
        x = nn.Embed(WORDS, 16, name="words")(inputs["ids"])
        x = x * mask if self.blank else x
        count = mask.sum(axis=1, keepdims=True) if self.masked_mean else float(TIME)
        mean = (x * mask if self.masked_mean else x).sum(axis=1, keepdims=True) / count
        x = nn.relu(nn.Conv(48, (3,), name="conv")(x))
        x = jnp.concatenate([x, jnp.broadcast_to(mean, (*x.shape[:2], 16))], axis=-1)
        bias = constant(np.log(np.array([0.0005, 0.3332, 0.3332, 0.3331], np.float32)))
        x = nn.relu(nn.Dense(32, name="mixed")(x))
        start = nn.initializers.variance_scaling(0.3, "fan_in", "normal")
        return self.last(nn.Dense(TAGS, kernel_init=start, bias_init=bias, name="head")(x))


def tagger(seed: int, **changes: Any) -> jr.Task:
    """Padded sentences with a tag for each word; padding does not count (Linen)."""
    train, val = changes.pop("data", None) or sentences(seed)
    base: dict[str, Any] = {
        "model": Tagger(),
        "loss": jr.losses.token_cross_entropy(pad=0),
        "train": train,
        "val": val,
        "optimizer": optax.adam(3e-3),
        "batch_size": 32,
        "name": "tagger",
    }
    return jr.Task(**{**base, **changes})
