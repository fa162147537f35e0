"""Losses for numbers: squared, absolute, and Huber's mixture of the two."""

from __future__ import annotations

import abc
import dataclasses

import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.losses import checking
from jrecipe.losses.base import Kind, Loss, Shape
from jrecipe.losses.classification import check_trailing, mean_over_rest, same_shape
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Regression(Loss):
    """What the losses of a number share: shapes, and a mean over the components of an example."""

    kind: Kind = "number"

    @abc.abstractmethod
    def of_error(self, error: Array) -> Array:
        """Returns the loss of each error `output - target`, elementwise."""

    def __call__(self, outputs: Array, targets: Array) -> Array:
        """Returns float32[b], the mean over components, from outputs and targets of one shape."""
        outputs, targets = same_shape(self.name, outputs, targets)
        error = outputs.astype(jnp.float32) - targets.astype(jnp.float32)
        return mean_over_rest(self.of_error(error))

    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the mean loss of the same output for every example."""
        output = np.asarray(constant, np.float64)
        numbers = self._numbers(targets, output.shape)
        return float(np.mean(self._of_error64(output.reshape(-1) - numbers)))

    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Asks for finite numbers; see `Loss.validate`."""
        numbers = checking.as_numbers(targets, name)
        if shape is not None:
            check_trailing(self.name, name, numbers, shape)
        if several:
            checking.require_several(numbers, name, "value")

    def decide(self, outputs: Array) -> Array:
        """Returns the numbers themselves; [b, 1] loses its last axis."""
        outputs = jnp.asarray(outputs)
        return outputs[:, 0] if outputs.ndim == 2 and outputs.shape[1] == 1 else outputs

    def unit(self, targets: Array, shape: Shape) -> float:
        """Returns the loss of the best constant output, or 1 if that is 0."""
        return self.uninformed(targets, shape) or 1.0

    def _numbers(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns validated targets as float64[b, d]."""
        self.validate(targets, shape=shape, several=False)
        numbers = np.asarray(targets, np.float64)
        return numbers.reshape(len(numbers), -1)

    @abc.abstractmethod
    def _of_error64(self, error: np.ndarray) -> np.ndarray:
        """Does what `of_error` does, in float64."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class L2(Regression):
    """See `l2`."""

    name: str = "l2"

    def of_error(self, error: Array) -> Array:
        """Returns the square."""
        return optax.squared_error(error)

    def _of_error64(self, error: np.ndarray) -> np.ndarray:
        return np.square(error)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the mean."""
        return self._numbers(targets, shape).mean(axis=0).reshape(shape)

    def spread_cost(self, outputs: Array) -> float:
        """Returns the variance of the outputs over examples; exact for independent targets."""
        return float(np.mean(np.var(np.asarray(outputs, np.float64), axis=0)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class L1(Regression):
    """See `l1`."""

    name: str = "l1"

    def of_error(self, error: Array) -> Array:
        """Returns the absolute value."""
        return jnp.abs(error)

    def _of_error64(self, error: np.ndarray) -> np.ndarray:
        return np.abs(error)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the median."""
        return np.median(self._numbers(targets, shape), axis=0).reshape(shape)

    def spread_cost(self, outputs: Array) -> float:
        """Returns the mean absolute deviation of the outputs: a bound, as |a + e| <= |a| + |e|."""
        outputs = np.asarray(outputs, np.float64)
        return float(np.mean(np.abs(outputs - outputs.mean(axis=0))))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Huber(Regression):
    """See `huber`."""

    name: str = "huber"
    delta: float = 1.0

    def of_error(self, error: Array) -> Array:
        """Returns `e^2 / 2` up to `delta`, and `delta (|e| - delta / 2)` beyond."""
        return optax.huber_loss(error, delta=self.delta)

    def _of_error64(self, error: np.ndarray) -> np.ndarray:
        size = np.abs(error)
        near = np.minimum(size, self.delta)
        return near**2 / 2 + self.delta * (size - near)

    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the minimiser, which lies between median and mean, by bisection."""
        numbers = self._numbers(targets, shape)
        low, high = numbers.min(axis=0), numbers.max(axis=0)
        for _ in range(64):  # the slope, mean(clip(c - y)), rises with c
            middle = (low + high) / 2
            slope = np.mean(np.clip(middle - numbers, -self.delta, self.delta), axis=0)
            low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
        return ((low + high) / 2).reshape(shape)

    def spread_cost(self, outputs: Array) -> float:
        """Returns an upper bound: the smaller of half the variance and delta mean deviations.

        The first because the curvature is at most 1, the second because the slope is at most delta.
        """
        outputs = np.asarray(outputs, np.float64)
        error = outputs - outputs.mean(axis=0)
        deviation = self.delta * np.mean(np.abs(error), axis=0)
        return float(np.mean(np.minimum(np.mean(error**2, axis=0) / 2, deviation)))


def l2() -> L2:
    """Squared error `(output - target)^2` (no factor 1/2), from outputs and targets [b] or [b, d].

    The mean over the d components. Outputs [b, 1] lose their last axis against targets [b]; any
    other difference in shape is an error, never broadcast. Uninformed value the variance of the
    targets; best constant their mean.

    Example:
      >>> l2()(jnp.array([[1.0], [2.0]]), jnp.array([1.0, 4.0])).tolist()
      [0.0, 4.0]
    """
    return L2()


def l1() -> L1:
    """Absolute error `|output - target|`, the mean over components; shapes as in `l2`.

    Uninformed value the mean absolute deviation from the median, which is the best constant.
    """
    return L1()


def huber(delta: float = 1.0) -> Huber:
    """Huber's loss: `e^2 / 2` for `|e| <= delta`, `delta (|e| - delta / 2)` beyond; shapes as `l2`.

    Args:
      delta: error, in units of the target, from which the loss grows linearly; > 0.

    Raises:
      TaskError: if `delta` is not a positive number.

    References:
      Huber, "Robust Estimation of a Location Parameter", 1964.
    """
    if not 0.0 < delta < float("inf"):
        raise TaskError(f"huber needs a finite delta > 0, got {delta!r}; try 1.0.")
    return Huber(delta=float(delta))
