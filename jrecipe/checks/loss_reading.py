"""How outputs and targets fit: what a right answer looks like, and which outputs can occur (G3).

A loss is asked about outputs that no network made. They must be outputs that could occur: a loss of
probabilities may not be asked about logits. So outputs are drawn as free numbers and pushed through
the link of their domain, as a softmax where every row of the network's outputs sums to one.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Array, PyTree

Kind = Literal["classes", "one-hot", "binary", "multilabel", "number"]
Shape = Literal["free", "box", "above", "below", "distribution", "log-distribution", "sphere"]


@dataclasses.dataclass(frozen=True)
class Domain:
    """Which values a leaf of the outputs can take.

    Attributes:
      shape: "free"; "box" between `low` and `high`; "above" `low`; "below" `high`; or a property of
        the last axis: a "distribution", its logarithm, a "sphere" (unit vectors).
      low: lower end, where there is one.
      high: upper end, where there is one.
      measured: found by moving the weights far, not only seen in a few outputs.
    """

    shape: Shape = "free"
    low: float = -math.inf
    high: float = math.inf
    measured: bool = False

    def link(self, z: Array) -> Array:
        """Returns free numbers pushed into the domain; a JAX function, same shape."""
        if self.shape == "box":
            return self.low + (self.high - self.low) * jax.nn.sigmoid(z)
        if self.shape == "above":
            return self.low + jax.nn.softplus(z)
        if self.shape == "below":
            return self.high - jax.nn.softplus(-z)
        if self.shape == "distribution":
            return jax.nn.softmax(z, axis=-1)
        if self.shape == "log-distribution":
            return jax.nn.log_softmax(z, axis=-1)
        if self.shape == "sphere":
            return z / jnp.sqrt(jnp.sum(z * z, axis=-1, keepdims=True) + 1e-12)
        return z

    def back(self, values: np.ndarray) -> np.ndarray:
        """Returns numbers that `link` takes close to `values`; the inverse where there is one."""
        x = np.asarray(values, np.float64)
        if self.shape == "box":
            share = np.clip((x - self.low) / (self.high - self.low), 1e-4, 1 - 1e-4)
            return np.log(share) - np.log1p(-share)
        if self.shape == "above":
            gap = np.maximum(x - self.low, 1e-3)
            return gap + np.log(-np.expm1(-gap))
        if self.shape == "below":
            gap = np.maximum(self.high - x, 1e-3)
            return -(gap + np.log(-np.expm1(-gap)))
        if self.shape == "distribution":
            return np.log(np.maximum(x, 1e-6))
        return x

    @property
    def bounded(self) -> bool:
        """Whether values are limited at one end at least."""
        return self.shape in ("box", "above", "below", "distribution")


def domain_of(seen: Array, moved: Sequence[Array] = ()) -> Domain:
    """Finds which values a leaf can take.

    Args:
      seen: outputs [n, ...] of the untrained network.
      moved: outputs of the network with its weights made much larger, in several ways.

    Example:
      >>> x = np.linspace(-4.0, 4.0, 64)[:, None]
      >>> domain_of(np.tanh(x), [np.tanh(k * x) for k in (10, 30, 100)]).shape
      'box'
      >>> domain_of(x, [k * x for k in (10, 30, 100)]).shape
      'free'
    """
    every = [np.asarray(x, np.float64) for x in (seen, *moved)]
    every = [x for x in every if x.size and np.isfinite(x).all()]
    if not every:
        return Domain()
    if every[0].ndim >= 2 and every[0].shape[-1] >= 2:
        rows = np.concatenate([x.reshape(-1, x.shape[-1]) for x in every])
        if (rows >= 0).all() and np.allclose(rows.sum(axis=-1), 1.0, atol=1e-2):
            return Domain("distribution", 0.0, 1.0, measured=True)
        if (rows <= 1e-5).all() and np.allclose(np.exp(rows).sum(axis=-1), 1.0, atol=1e-2):
            return Domain("log-distribution", measured=True)
        if np.allclose((rows**2).sum(axis=-1), 1.0, atol=1e-2):
            return Domain("sphere", measured=True)
    if len(every) >= 4:
        low, high = _end(every[1:], -1.0), _end(every[1:], 1.0)
        if not all((x >= low - 1e-6).all() and (x <= high + 1e-6).all() for x in every):
            return Domain()
        return _limited(low, high, measured=True)
    first = every[0]
    if first.min() > 0 and np.ptp(first) > 0:  # a guess, for drawing outputs only
        return _limited(0.0, 1.0 if first.max() < 1 else math.inf, measured=False)
    return Domain()


def _limited(low: float, high: float, measured: bool) -> Domain:
    shape: Shape = "free"
    if math.isfinite(low):
        shape = "box" if math.isfinite(high) else "above"
    elif math.isfinite(high):
        shape = "below"
    if low == high:
        shape, low, high = "free", -math.inf, math.inf
    return Domain(shape, low, high, measured)


def _end(moved: Sequence[np.ndarray], side: float) -> float:
    """Returns the value at which outputs pile up at the upper (1) or lower (-1) end, or infinity.

    A limit is where it is however the weights are moved; a largest value of free outputs is not.
    """
    moved = [side * x for x in moved if x.size > 1 and np.ptp(x) > 0]
    if not moved:
        return side * math.inf
    top = max(x.max() for x in moved)
    piles = [np.mean(x >= top - 2e-3 * np.ptp(x)) for x in moved]
    if sum(pile >= 0.06 for pile in piles) < 2:
        return side * math.inf
    end = float(side * top)
    return float(round(end)) if abs(end - round(end)) < 5e-3 * max(1.0, abs(end)) else end


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the targets ask of the outputs.

    Attributes:
      kind: "classes" int[...] for outputs [..., c]; "one-hot" [..., c]; "binary" and "multilabel"
        0 or 1; "number" of the outputs' shape.
      leaf: which leaf of the targets says it.
      integer: whether the targets are stored as integers.
    """

    kind: Kind
    leaf: int = 0
    integer: bool = False

    def labels(self, targets: PyTree) -> np.ndarray:
        """Returns the leaf of the targets that holds the answer."""
        return np.asarray(jax.tree.leaves(targets)[self.leaf])

    def ideal(self, targets: PyTree, shape: tuple[int, ...]) -> np.ndarray:
        """Returns the answer as an array of the outputs' shape: ones and zeros, or the number."""
        y = self.labels(targets)
        if self.kind != "classes":
            return y.astype(np.float64).reshape(shape)
        c = shape[-1]
        ids = np.where((y >= 0) & (y < c), y, 0).astype(int)
        return np.eye(c)[ids]

    def latent(
        self,
        targets: PyTree,
        shape: tuple[int, ...],
        size: float,
        domain: Domain,
        spread: float | np.ndarray,
    ) -> np.ndarray:
        """Returns free numbers that stand for the answer, for `Domain.link`.

        Args:
          targets: leading axis b.
          shape: shape of the outputs, with b.
          size: for labels: how far the right answer lies above the rest, negative if below; for
            numbers: how far from the target, in units of `spread`.
          domain: of the outputs.
          spread: of the targets, for numbers.
        """
        answer = self.ideal(targets, shape)
        if self.kind in ("classes", "one-hot"):
            return size * answer
        if self.kind in ("binary", "multilabel"):
            return size * (2 * answer - 1)
        if domain.shape == "free":
            return answer + size * spread
        return domain.back(answer) + size


def read_targets(outputs: PyTree, targets: PyTree) -> Reading | None:
    """Finds what the targets ask of the outputs; None if that cannot be told.

    Args:
      outputs: of the network, leading axis b.
      targets: leading axis b.

    Example:
      >>> read_targets(np.zeros((4, 3)), np.array([0, 2, 1, 1])).kind
      'classes'
      >>> read_targets(np.zeros((4, 1)), np.array([0.5, 2.0, 1.5, 1.0])).kind
      'number'
    """
    if not hasattr(outputs, "shape") or np.asarray(outputs).dtype.kind not in "fV":
        return None
    shape = tuple(outputs.shape)
    for i, leaf in enumerate(jax.tree.leaves(targets)):
        y = np.asarray(leaf)
        integer = y.dtype.kind in "iub"
        if integer and shape[:-1] == y.shape and shape[-1] >= 2:
            if np.mean((y >= 0) & (y < shape[-1])) >= 0.5:
                return Reading("classes", i, True)
            continue
        if y.dtype.kind not in "iubf" or y.size != math.prod(shape):
            continue
        if y.shape != shape and (*y.shape, 1) != shape and y.shape != (*shape, 1):
            continue
        values = y.astype(np.float64)
        if np.isin(values, (0.0, 1.0)).all() and np.ptp(values) > 0:
            wide = y.ndim >= 2 and y.shape[-1] >= 2
            if wide and (values.sum(axis=-1) == 1).all():
                return Reading("one-hot", i, integer)
            return Reading("multilabel" if values[0].size > 1 else "binary", i, integer)
        if np.isfinite(values).all():
            return Reading("number", i, integer)
    return None


def leaf_arrays(tree: PyTree) -> list[Any]:
    """Returns the leaves of a pytree as NumPy arrays."""
    return [np.asarray(x) for x in jax.tree.leaves(tree)]
