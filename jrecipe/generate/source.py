"""Generated examples as a source (D3)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.generate.flow import Generator
from jrecipe.types import Array, PyTree, TaskError

_AT_ONCE = 256  # examples of one program, so that any number of rows compiles once


@dataclasses.dataclass(frozen=True, eq=False)
class GeneratedSource:
    """Examples that a generator makes: row `i` is a function of the generator, `seed` and `i`.

    Classes take turns, `i % classes`. Inputs are float32[k, *shape], targets int32[k].

    Attributes:
      generator: from `fit_generator`.
      count: number of examples, at least 1.
      seed: any integer.

    Raises:
      TaskError: if `count` is less than 1.
    """

    generator: Generator
    count: int = 10_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise TaskError(f"GeneratedSource needs count of at least 1, got {self.count}.")

    def __len__(self) -> int:
        return self.count

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Makes the examples `rows` int[k], each in 0 .. count - 1."""
        rows = np.asarray(rows).ravel() % self.count
        labels = (rows % self.generator.classes).astype(np.int32)
        made = [np.zeros((0, *self.generator.shape), np.float32)]
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            padded = np.zeros(_AT_ONCE, np.int32)
            padded[: len(part)] = part
            made.append(np.asarray(self._sample(jnp.asarray(padded)))[: len(part)])
        return np.concatenate(made), labels

    @functools.cached_property
    def _sample(self) -> Callable[[Array], Array]:
        key = jax.random.key(self.seed)

        @jax.jit
        def sample(rows: Array) -> Array:
            keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(rows)
            return self.generator.sample(keys, rows % self.generator.classes)

        return sample
