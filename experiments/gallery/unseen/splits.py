"""How rows are drawn, cut in two and put on a scale, for the programs without a loop of their own.

The programs that build on this module were written without sight of the checks: networks of kinds
that the rest of the gallery does not have. All of them use jrecipe's own trainer.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from gallery.planting import Split

Array = Any
Data = tuple[Any, Any]
Splits = dict[str, Split]


def rng_of(name: str, seed: int) -> np.random.Generator:
    """Returns a generator of random numbers of its own for each data set and seed."""
    return np.random.default_rng([seed, *name.encode()])


def halves(inputs: Any, targets: Any, seed: int, share: float = 0.7) -> Splits:
    """Returns rows drawn into `train` (a share) and `val` (the rest)."""
    n = len(jax.tree.leaves(targets)[0])
    order = np.random.default_rng([seed, 31]).permutation(n)
    rows = {"train": order[: int(share * n)], "val": order[int(share * n) :]}
    return {
        name: (jax.tree.map(lambda x, r=r: x[r], inputs), targets[r]) for name, r in rows.items()
    }


def scale_of(inputs: np.ndarray, axis: int | None = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and standard deviation, of each feature or (axis None) of all numbers."""
    return inputs.mean(axis=axis), inputs.std(axis=axis)


def standardised(splits: Splits, axis: int | None = 0) -> Splits:
    """Returns the splits with inputs on the scale of the training inputs."""
    mean, scale = scale_of(splits["train"][0], axis)
    return {k: (((x - mean) / scale).astype(np.float32), y) for k, (x, y) in splits.items()}


def unit(y: np.ndarray) -> np.ndarray:
    """Returns numbers shifted and scaled to mean 0 and variance 1."""
    return ((y - y.mean()) / y.std()).astype(np.float32)
