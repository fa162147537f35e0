"""Hypothesis strategies for training code: seeds, keys, batches, networks, rates, optimisers.

They draw seeds and pick from few shapes, never arrays element by element: each new shape compiles
anew, and what NumPy draws from a seed is as varied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from hypothesis import strategies as st

from jrecipe.types import Batch, TaskError

SIZES = (2, 8)  # examples in a batch; two sizes, so that a batch of one shape is no accident


def seeds(most: int = 2**16) -> st.SearchStrategy[int]:
    """Draws a seed in [0, most]; it shrinks towards 0."""
    return st.integers(0, most)


def keys() -> st.SearchStrategy[Any]:
    """Draws a typed JAX key."""
    return seeds().map(jax.random.key)


def batches(
    inputs: Sequence[int] = (8,),
    *,
    classes: int | None = 10,
    targets: Sequence[int] = (),
    tokens: int | None = None,
    sizes: Sequence[int] = SIZES,
    padded: bool = False,
) -> st.SearchStrategy[Batch]:
    """Draws a batch, NumPy arrays: inputs float32[b, *inputs] or ids, targets, weights float32[b].

    Args:
      inputs: shape of one input.
      classes: number of classes of int32 targets; None for float32 targets.
      targets: shape of one target.
      tokens: size of a vocabulary, for int32 inputs in [0, tokens); None for standard normal ones.
      sizes: numbers of examples to draw from.
      padded: whether some examples, but the first, may have weight 0.

    Raises:
      TaskError: if `sizes` is empty.
    """
    if not sizes:
        raise TaskError(f"batches needs at least one size, got sizes={sizes!r}; try (2, 8).")

    def build(seed: int, size: int) -> Batch:
        rng = np.random.default_rng(seed)
        shape = (size, *inputs)
        x: Any = rng.normal(size=shape).astype(np.float32)
        if tokens is not None:
            x = rng.integers(0, tokens, shape).astype(np.int32)
        goal = (size, *targets)
        y: Any = rng.normal(size=goal).astype(np.float32)
        if classes is not None:
            y = rng.integers(0, classes, goal).astype(np.int32)
        weights = np.ones(size, np.float32)
        if padded:
            weights[1:] = rng.random(size - 1) < 0.7
        return Batch(x, y, weights)

    return st.builds(build, seeds(), st.sampled_from(list(sizes)))


def models(outputs: int = 10) -> st.SearchStrategy[Any]:
    """Draws one of the small networks that ship: linear, or an MLP with and without dropout.

    Args:
      outputs: numbers per example that it answers.
    """
    from jrecipe.models import MLP, Linear

    def build(depth: int, dropout: float) -> Any:
        if depth == 0:
            return Linear(outputs)
        return MLP(outputs, width=8, depth=depth, dropout=dropout)

    return st.builds(build, st.sampled_from([0, 1, 2]), st.sampled_from([0.0, 0.5]))


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    """Draws a number in [low, high], every decade as likely; it shrinks towards `low`.

    Raises:
      TaskError: unless 0 < low < high.
    """
    if not 0 < low < high:
        raise TaskError(f"log_uniform needs 0 < low < high, got low={low!r}, high={high!r}.")
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


def learning_rates(low: float = 1e-5, high: float = 1e-1) -> st.SearchStrategy[float]:
    """Draws a learning rate, log-uniform."""
    return log_uniform(low, high)


def optimizers(rates: st.SearchStrategy[float] | None = None) -> st.SearchStrategy[Any]:
    """Draws an optax optimiser: SGD, with momentum, Adam, AdamW, or clipped.

    Args:
      rates: learning rates; default `learning_rates(1e-4, 1e-1)`.
    """
    makers = [
        optax.sgd,
        lambda rate: optax.sgd(rate, momentum=0.9),
        optax.adam,
        lambda rate: optax.adamw(rate, weight_decay=1e-2),
        lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(rate)),
    ]
    rates = learning_rates(1e-4, 1e-1) if rates is None else rates
    return st.builds(lambda make, rate: make(rate), st.sampled_from(makers), rates)


def hyperparameters(
    space: Mapping[str, st.SearchStrategy[Any] | Sequence[Any]],
) -> st.SearchStrategy[dict[str, Any]]:
    """Draws a dict with a value for each name.

    Args:
      space: name -> a strategy, or a sequence of choices.

    Example:
      >>> space = {"rate": learning_rates(), "width": [16, 64]}
      >>> hyperparameters(space)  # doctest: +ELLIPSIS
      fixed_dictionaries(...)
    """
    return st.fixed_dictionaries(
        {
            name: values if isinstance(values, st.SearchStrategy) else st.sampled_from(list(values))
            for name, values in space.items()
        }
    )
