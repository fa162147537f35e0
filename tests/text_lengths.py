"""A small task on texts of several lengths, for tests of what reads them by length."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
from tiny_encoder import VOCABULARY, TinyEncoder

import jrecipe as jr

BUCKETS = (4, 8, 12)


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """Random texts of 2 to 12 tokens, padded to the longest bucket of the rows that are taken."""

    ids: tuple[np.ndarray, ...]
    labels: np.ndarray
    asked: list[int] = dataclasses.field(default_factory=list)

    @property
    def buckets(self) -> np.ndarray:
        sizes = [len(ids) for ids in self.ids]
        return np.array([min(b for b in BUCKETS if b >= size) for size in sizes], np.int32)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows):
        length = int(self.buckets[rows].max())
        self.asked.append(length)
        ids = np.zeros((len(rows), length), np.int32)
        for i, row in enumerate(rows):
            ids[i, : len(self.ids[row])] = self.ids[row]
        return {"ids": ids, "mask": ids > 0}, self.labels[rows]


def texts(n: int, seed: int, lengths: tuple[int, int] = (2, 13)) -> Texts:
    """Returns `n` texts; the label is whether the first token is in the upper half."""
    rng = np.random.default_rng(seed)
    ids = tuple(
        rng.integers(1, VOCABULARY, rng.integers(*lengths)).astype(np.int32) for _ in range(n)
    )
    labels = np.array([first[0] > VOCABULARY // 2 for first in ids], np.int32)
    return Texts(ids, labels)


def padded(source: Texts) -> tuple:
    """Returns the same texts as arrays, all padded to the longest."""
    return source.take(np.arange(len(source)))


def text_task(**changes) -> jr.Task:
    """Returns a task of 45 training and 23 validation texts in batches of 8."""
    given = {
        "model": jr.models.TextClassifier(TinyEncoder(), outputs=2),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": texts(45, 1),
        "val": texts(23, 2),
        "optimizer": optax.adam(1e-2),
        "batch_size": 8,
        "name": "texts",
    }
    return jr.Task(**{**given, **changes})


def counting(model: jr.Model, traced: list) -> jr.Model:
    """Returns a model that notes the length of the texts each time its training mode is traced."""

    def apply(params, state, inputs, *, key=None, train=False):
        if train:
            traced.append(jnp.shape(inputs["ids"])[1])
        return model.apply(params, state, inputs, key=key, train=train)

    return dataclasses.replace(model, apply=apply)
