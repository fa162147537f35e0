"""Hypothesis strategies shared by all tests: many values, few shapes, since each shape compiles."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import strategies as st

seeds = st.integers(0, 2**31 - 1)
keys = st.builds(jax.random.key, seeds)
class_counts = st.sampled_from((2, 3, 7, 20))
scales = st.floats(0.01, 2.0)


def generator(seed: int) -> np.random.Generator:
    """Returns a NumPy generator for a drawn seed."""
    return np.random.default_rng(seed)


def labels_of_all(rng: np.random.Generator, classes: int, count: int) -> np.ndarray:
    """Returns shuffled labels int32[count] in which every class occurs, unequally often."""
    shares = rng.dirichlet(np.full(classes, 2.0))
    rest = rng.choice(classes, count - classes, p=shares)
    return rng.permutation(np.concatenate([np.arange(classes), rest])).astype(np.int32)


def balanced_labels(rng: np.random.Generator, classes: int, each: int) -> np.ndarray:
    """Returns shuffled labels int32[classes * each] with `each` examples per class."""
    return rng.permutation(np.repeat(np.arange(classes), each)).astype(np.int32)
