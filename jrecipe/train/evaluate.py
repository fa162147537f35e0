"""Exact evaluation of a whole split (B3).

Every example counts once: the last batch is padded with rows of weight 0, per-example values are
collected, and the mean is taken in float64. So the result does not depend on the batch size beyond
the rounding of one example's own forward pass, and it comes with a standard error.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.data.buckets import source_evaluation_rows
from jrecipe.types import Array, LossFunction, PyTree, Source, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
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

    def __repr__(self) -> str:  # not its arrays, as a notebook would print them
        metric = f", metric={self.metric:.4g} ± {self.metric_stderr:.2g}"
        known = metric if len(self.metric_values) else ""
        return f"Evaluation(n={self.n}, loss={self.loss:.4g} ± {self.loss_stderr:.2g}{known})"


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
      predict: `(state, inputs) -> outputs` in evaluation mode; it always sees `batch_size` rows,
        and of a source with `buckets` batches that are padded to one of them.
      state: passed on to `predict`.
      source: the examples.
      loss: `(outputs, targets) -> float32[b]` or `(value, weight)`.
      metric: the same, or None.
      batch_size: rows per forward pass; changes speed and memory only.
      keep_outputs: also return the outputs of every example.

    Raises:
      TaskError: if outputs are to be kept whose lengths differ between batches.
    """
    rows, masks = source_evaluation_rows(source, min(batch_size, len(source)))
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
    order = rows.reshape(-1)[: len(source)]  # what fills up the last batch comes after it
    value, weight, metric_value, metric_weight = (
        _by_row(list(part), order) for part in zip(*parts, strict=True)
    )
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
        outputs=jax.tree.map(lambda *x: _by_row(x, order), *kept) if keep_outputs else None,
    )


def _by_row(parts: Sequence[np.ndarray], order: np.ndarray) -> np.ndarray:
    """Joins what was found for the rows `order` int[n], batch by batch, as an array by row."""
    if len({part.shape[1:] for part in parts}) > 1:
        raise TaskError(
            "evaluate(keep_outputs=True) got outputs of several lengths, "
            f"{parts[0].shape[1:]} and {parts[-1].shape[1:]}; read them batch by batch, by "
            "jr.data.evaluation_rows(source.buckets, batch_size)."
        )
    joined = np.concatenate(parts)
    found = np.empty_like(joined)
    found[order] = joined
    return found


@functools.lru_cache(maxsize=64)
def _scorer(loss: LossFunction, metric: LossFunction | None) -> Any:
    """Compiles the loss and metric of a batch once per pair of functions."""

    def score(outputs: PyTree, targets: PyTree) -> tuple[Array, Array, Array, Array]:
        value, weight = losses.weighted(loss, outputs, targets)
        if metric is None:
            return value, weight, jnp.zeros_like(value), jnp.ones_like(weight)
        return (value, weight, *losses.weighted(metric, outputs, targets))

    return jax.jit(score)
