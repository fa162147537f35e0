"""What a person wants to be told about a model, per example; higher is better.

A metric has the interface of a loss, `(outputs, targets) -> float32[b]` or `(value, weight)`, so
that `jr.evaluate` gives its exact mean over a split, whatever the batch size (B3).
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jrecipe.types import Array, LossFunction, PyTree, TaskError


def accuracy(outputs: Array, targets: Array) -> Array:
    """Whether the largest of c outputs is the right class.

    Args:
      outputs: float[b, c]; of equal largest ones the first counts.
      targets: int[b].

    Returns:
      float32[b], 0 or 1.

    Example:
      >>> accuracy(jnp.array([[0.1, 2.0], [3.0, 0.0]]), jnp.array([1, 1])).tolist()
      [1.0, 0.0]
    """
    outputs, targets = _fit("accuracy", outputs, targets, drop=1)
    return (jnp.argmax(outputs, axis=-1) == targets).astype(jnp.float32)


def binary_accuracy(outputs: Array, targets: Array) -> Array:
    """Whether the sign of a logit is right; a logit of 0 says no, a label of 0.5 is a no.

    Args:
      outputs: logits float[b] or [b, 1].
      targets: labels [b] in [0, 1].

    Returns:
      float32[b], 0 or 1.
    """
    outputs, targets = _fit("binary_accuracy", outputs, targets)
    return _mean(((outputs > 0) == (targets > 0.5)).astype(jnp.float32))


def multilabel_accuracy(outputs: Array, targets: Array) -> Array:
    """Share of the l labels of an example whose sign is right.

    Args:
      outputs: logits float[b, l].
      targets: labels [b, l] in [0, 1].

    Returns:
      float32[b] in [0, 1].
    """
    outputs, targets = _fit("multilabel_accuracy", outputs, targets)
    return _mean(((outputs > 0) == (targets > 0.5)).astype(jnp.float32))


@functools.lru_cache(maxsize=64)
def token_accuracy(pad: int | None = None) -> LossFunction:
    """Share of the tokens that are right, as a metric; padding does not count.

    Args:
      pad: id of targets that do not count, None if all count.

    Returns:
      `(outputs float[b, t, v], targets int[b, t]) -> (value, weight)`, float32[b] each; the weight
      is the number of counted tokens.
    """

    def token_accuracy(outputs: Array, targets: Array) -> tuple[Array, Array]:
        outputs, targets = _fit("token_accuracy", outputs, targets, drop=1)
        counted = jnp.ones(targets.shape, bool) if pad is None else targets != pad
        right = (jnp.argmax(outputs, axis=-1) == targets) & counted
        weight = jnp.sum(counted, axis=1, dtype=jnp.float32)
        return jnp.sum(right, axis=1, dtype=jnp.float32) / jnp.maximum(weight, 1.0), weight

    return token_accuracy


@functools.lru_cache(maxsize=64)
def tag_accuracy(loss: Any) -> LossFunction:
    """Share of the words whose tag is right in the sequence that a loss decides for, as a metric.

    Args:
      loss: such as `jr.losses.crf()`, whose `decide` gives int[b, w]; hashable.

    Returns:
      `(outputs, targets int[b, w]) -> (value, weight)`, float32[b] each; targets of `loss.pad` do
      not count, and the weight is the number of words.
    """

    def tag_accuracy(outputs: PyTree, targets: Array) -> tuple[Array, Array]:
        decided, targets = _fit("tag_accuracy", loss.decide(outputs), targets)
        counted = targets != loss.pad
        weight = jnp.sum(counted, axis=1, dtype=jnp.float32)
        right = jnp.sum((decided == targets) & counted, axis=1, dtype=jnp.float32)
        return right / jnp.maximum(weight, 1.0), weight

    return tag_accuracy


@functools.lru_cache(maxsize=64)
def span_accuracy(loss: Any) -> LossFunction:
    """Whether the span that a loss decides for is right, start and end, as a metric.

    Args:
      loss: such as `jr.losses.span_cross_entropy()`, whose `decide` gives int[b, 2]; hashable.

    Returns:
      `(outputs, targets int[b, 2]) -> float32[b]`, 0 or 1.
    """

    def span_accuracy(outputs: Array, targets: Array) -> Array:
        decided, targets = _fit("span_accuracy", loss.decide(outputs), targets)
        return jnp.all(decided == targets, axis=1).astype(jnp.float32)

    return span_accuracy


def negative_absolute_error(outputs: Array, targets: Array) -> Array:
    """Returns `-|output - target|`, the mean over components; 0 is perfect.

    Args:
      outputs: float[b], [b, 1] for targets [b], or [b, d].
      targets: [b] or [b, d].

    Returns:
      float32[b], at most 0.
    """
    outputs, targets = _fit("negative_absolute_error", outputs, targets)
    return -_mean(jnp.abs(outputs.astype(jnp.float32) - targets.astype(jnp.float32)))


def negative_squared_error(outputs: Array, targets: Array) -> Array:
    """Returns `-(output - target)^2`, the mean over components; 0 is perfect.

    Args:
      outputs: float[b], [b, 1] for targets [b], or [b, d].
      targets: [b] or [b, d].

    Returns:
      float32[b], at most 0.
    """
    outputs, targets = _fit("negative_squared_error", outputs, targets)
    return -_mean(jnp.square(outputs.astype(jnp.float32) - targets.astype(jnp.float32)))


def for_loss(loss: Any) -> LossFunction | None:
    """Returns the metric that goes with one of `jr.losses`, or None for a loss of the user's own.

    Args:
      loss: a loss; its `kind` says what the targets are.
    """
    kind = getattr(loss, "kind", None)
    if kind == "tokens":
        return token_accuracy(getattr(loss, "pad", None))
    if kind == "tags":
        return tag_accuracy(loss)
    if kind == "span":
        return span_accuracy(loss)
    if kind == "number":
        return negative_squared_error if loss.name == "l2" else negative_absolute_error
    return {
        "classes": accuracy,
        "binary": binary_accuracy,
        "multilabel": multilabel_accuracy,
    }.get(str(kind))


def _fit(name: str, outputs: Array, targets: Array, drop: int = 0) -> tuple[Array, Array]:
    """Returns both as arrays that fit, where outputs have `drop` axes more, or raises TaskError."""
    outputs, targets = jnp.asarray(outputs), jnp.asarray(targets)
    if drop == 0 and targets.ndim == 1 and outputs.shape == (*targets.shape, 1):
        outputs = outputs[:, 0]
    if outputs.ndim == 0 or outputs.shape[: outputs.ndim - drop] != targets.shape:
        want = "targets of the outputs' shape" + (", less the class axis" if drop else "")
        raise TaskError(
            f"{name} needs {want}, got outputs {jax.typeof(outputs).str_short()} and targets "
            f"{jax.typeof(targets).str_short()}."
        )
    return outputs, targets


def _mean(value: Array) -> Array:
    """Returns the mean over every axis but the first, float32[b]."""
    return jnp.mean(value.reshape(value.shape[0], -1), axis=1)
