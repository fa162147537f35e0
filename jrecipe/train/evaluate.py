"""Exact evaluation of a whole split (B3).

Every example counts once: the last batch is padded with rows of weight 0, per-example values are
collected, and the mean is taken in float64. So the result does not depend on the batch size beyond
the rounding of one example's own forward pass, and it comes with a standard error.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.data.order import padded_rows
from jrecipe.types import Array, LossFunction, PyTree, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a model scores on a split.

    Attributes:
      n: number of examples.
      loss: weighted mean of the loss.
      loss_stderr: standard error of that mean over examples.
      metric: weighted mean of the metric, NaN without one.
      metric_stderr: its standard error.
      values: float32[n], loss of each example.
      weights: float32[n], weight of each example in the mean.
      metric_values: float32[n], metric of each example; empty without one.
      metric_weights: float32[n], weight of each example in the metric's mean; empty without one.
      outputs: outputs of the network for each example, if asked for.
    """

    n: int
    loss: float
    loss_stderr: float
    metric: float
    metric_stderr: float
    values: np.ndarray
    weights: np.ndarray
    metric_values: np.ndarray
    metric_weights: np.ndarray
    outputs: PyTree = None


def mean_and_stderr(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Returns the weighted mean and its standard error over examples, in float64.

    Args:
      values: float[n].
      weights: float[n], not negative, not all 0.
    """
    values, weights = np.asarray(values, np.float64), np.asarray(weights, np.float64)
    total = weights.sum()
    if total == 0:
        return float("nan"), float("nan")
    values = np.where(weights > 0, values, 0.0)
    mean = float((values * weights).sum() / total)
    n = int((weights > 0).sum())
    if n < 2 or not np.isfinite(mean):
        return mean, float("nan")
    # Ratio estimator: linearised variance of sum(vw) / sum(w).
    residual = weights * (values - mean)
    return mean, float(np.sqrt((residual**2).sum() * n / (n - 1)) / total)


def evaluate(
    predict: Callable[[Any, PyTree], PyTree],
    state: Any,
    source: Source,
    loss: LossFunction,
    *,
    metric: LossFunction | None = None,
    batch_size: int = 256,
    keep_outputs: bool = False,
) -> Evaluation:
    """Evaluates `predict(state, inputs)` on every example of a source, exactly.

    Args:
      predict: `(state, inputs) -> outputs` in evaluation mode; it always sees `batch_size` rows.
      state: passed on to `predict`.
      source: the examples.
      loss: `(outputs, targets) -> float32[b]` or `(value, weight)`.
      metric: the same, or None.
      batch_size: rows per forward pass; changes speed and memory only.
      keep_outputs: also return the outputs of every example.
    """
    rows, masks = padded_rows(len(source), min(batch_size, len(source)))
    known = isinstance(loss, Hashable) and isinstance(metric, Hashable)
    score = (_scorer if known else _scorer.__wrapped__)(loss, metric)
    parts, kept = [], []
    for row, mask in zip(rows, masks, strict=True):
        inputs, targets = source.take(row)
        outputs = predict(state, inputs)
        real = int(mask.sum())
        parts.append([np.asarray(x)[:real] for x in score(outputs, targets)])
        if keep_outputs:
            kept.append(jax.tree.map(lambda x, real=real: np.asarray(x)[:real], outputs))
    value, weight, metric_value, metric_weight = map(np.concatenate, zip(*parts, strict=True))
    mean, stderr = mean_and_stderr(value, weight)
    if metric is None:
        metric_mean = metric_stderr = float("nan")
        metric_value = metric_weight = np.zeros(0, np.float32)
    else:
        metric_mean, metric_stderr = mean_and_stderr(metric_value, metric_weight)
    return Evaluation(
        n=len(source),
        loss=mean,
        loss_stderr=stderr,
        metric=metric_mean,
        metric_stderr=metric_stderr,
        values=value,
        weights=weight,
        metric_values=metric_value,
        metric_weights=metric_weight,
        outputs=jax.tree.map(lambda *x: np.concatenate(x), *kept) if keep_outputs else None,
    )


@functools.lru_cache(maxsize=64)
def _scorer(loss: LossFunction, metric: LossFunction | None) -> Any:
    """Compiles the loss and metric of a batch once per pair of functions."""

    def score(outputs: PyTree, targets: PyTree) -> tuple[Array, Array, Array, Array]:
        value, weight = losses.weighted(loss, outputs, targets)
        if metric is None:
            return value, weight, jnp.zeros_like(value), jnp.ones_like(weight)
        return (value, weight, *losses.weighted(metric, outputs, targets))

    return jax.jit(score)
