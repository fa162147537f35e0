"""The contract of a loss: one number per example, and what an uninformed model should score.

A loss maps `(outputs, targets)` to float32[b], or to `(value float32[b], weight float32[b])` where
examples count differently. Every mean is `sum(value * weight) / sum(weight)`, so that layout over
batches and devices never changes it. A `Loss` also knows its laws, which B4 and B5 rest on.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Array, LossFunction, PerExample, PyTree, TaskError

Kind = Literal["classes", "binary", "multilabel", "number", "tokens", "tags", "span"]
Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss(abc.ABC):
    """A per-example loss that knows its value for a model that has learned nothing.

    Laws are computed in float64 NumPy from all targets given; log losses are in nats. `shape` is
    the shape of the outputs for one example, such as `(10,)` for ten logits and `()` for a number.

    Attributes:
      name: what reports call it.
      kind: what the targets are: "classes" int[b], "binary" [b], "multilabel" [b, l], "number" [b]
        or [b, d], "tokens" int[b, t], "tags" int[b, w] decided together, "span" int[b, 2].
    """

    name: str
    kind: Kind

    @abc.abstractmethod
    def __call__(self, outputs: Array, targets: Array) -> PerExample:
        """Returns the loss of each example, float32[b], or a pair `(value, weight)` of such.

        Raises:
          TaskError: if outputs and targets do not fit together; at trace time, with both shapes.
        """

    @abc.abstractmethod
    def best_constant(self, targets: Array, shape: Shape) -> np.ndarray:
        """Returns the output float64[*shape] that minimises the mean loss over `targets` (B5).

        Always finite: where the minimum lies at infinity (a class without examples) half an example
        stands in for none.
        """

    @abc.abstractmethod
    def constant_loss(self, constant: Array, targets: Array) -> float:
        """Returns the weighted mean loss over `targets` if every output is `constant`."""

    @abc.abstractmethod
    def spread_cost(self, outputs: Array) -> float:
        """Returns what outputs that vary independently of the targets cost above their mean (B4).

        The lawful loss at initialisation is `constant_loss(mean output, targets)` plus this.

        Args:
          outputs: [b, ...], outputs of the network for b examples.
        """

    @abc.abstractmethod
    def validate(
        self,
        targets: Array,
        name: str = "targets",
        shape: Shape | None = None,
        *,
        several: bool = True,
    ) -> None:
        """Looks at the values of the targets.

        Args:
          targets: targets of a whole split.
          name: what the error message calls them.
          shape: shape of one output where it is known; it bounds the labels.
          several: also ask that there is more than one class (or value) among two or more targets.

        Raises:
          TaskError: naming the argument, the first bad row with its value, and the way out.
        """

    @abc.abstractmethod
    def decide(self, outputs: Array) -> Array:
        """Returns the answer in the outputs: class indices, {0, 1}, values or token ids."""

    def uninformed(self, targets: Array, shape: Shape) -> float:
        """Returns the mean loss of `best_constant`, as H(prior) for a softmax (B4)."""
        return self.constant_loss(self.best_constant(targets, shape), targets)

    def zero_outputs(self, targets: Array, shape: Shape) -> float:
        """Returns the mean loss of a network whose outputs are all 0, as log(n_classes)."""
        return self.constant_loss(np.zeros(shape), targets)

    def unit(self, targets: Array, shape: Shape) -> float:
        """Returns the natural size of a difference in this loss: 1 nat unless a loss says more."""
        del targets, shape
        return 1.0

    def floor(self, targets: Array, shape: Shape) -> float:
        """Returns the lowest mean loss that free outputs can reach, 0 unless targets are soft."""
        del targets, shape
        return 0.0


def weighted(
    loss: LossFunction, outputs: PyTree, targets: PyTree, weights: Array | None = None
) -> tuple[Array, Array]:
    """Evaluates any loss or metric as `(value float32[b], weight float32[b])`.

    Args:
      loss: `(outputs, targets) -> float[b]` or `(value float[b], weight float[b])`.
      outputs: array or pytree with leading axis b.
      targets: array or pytree with leading axis b.
      weights: float32[b], multiplied in; 0 marks padding. Where the weight is 0 the value is 0 too,
        so that a NaN in padding cannot reach a mean.

    Raises:
      TaskError: if the loss does not return one number per example.
    """
    count = _count(outputs if weights is None else weights)
    result = loss(outputs, targets)
    name = str(getattr(loss, "name", getattr(loss, "__name__", type(loss).__name__)))
    if isinstance(result, tuple | list):
        if len(result) != 2:
            raise TaskError(
                f"loss {name} returned {len(result)} values; return one number per example, or "
                "the pair (value, weight)."
            )
        value = _per_example(result[0], count, name, "value")
        weight = _per_example(result[1], count, name, "weight")
    else:
        value = _per_example(result, count, name, "loss")
        weight = jnp.ones_like(value)
    if weights is not None:
        weight = weight * jnp.asarray(weights, jnp.float32)
    return jnp.where(weight == 0, 0.0, value), weight


def weighted_mean(value: Array, weight: Array) -> Array:
    """Returns `sum(value * weight) / sum(weight)`, float32[]; 0 if nothing has a weight.

    Example:
      >>> float(weighted_mean(jnp.array([1.0, 5.0]), jnp.array([3.0, 1.0])))
      2.0
    """
    total = jnp.sum(weight)
    return jnp.sum(value * weight) / jnp.where(total == 0, 1.0, total)


def shape_error(name: str, outputs: Array, targets: Array, want: str) -> TaskError:
    """Returns the error for outputs and targets that do not fit together; the caller raises it."""
    return TaskError(
        f"{name} needs {want}, got outputs {jax.typeof(outputs).str_short()} and targets "
        f"{jax.typeof(targets).str_short()}."
    )


def _count(tree: PyTree) -> int:
    """Returns the number of examples, the leading axis of the first array in `tree`."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.ndim(x) > 0]
    if not leaves:
        raise TaskError("outputs have no example axis; give arrays with the examples along axis 0.")
    return int(leaves[0].shape[0])


def _per_example(value: object, count: int, name: str, what: str) -> Array:
    """Returns `value` as float32[count], or raises what to change in the loss."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TaskError(
            f"loss {name} returned a {type(value).__name__} as {what}; return an array float32[b], "
            "one number per example."
        ) from error
    if array.shape == (count,):
        return array.astype(jnp.float32)
    if array.ndim == 0:
        way_out = "return one number per example, drop the .mean() or .sum()"
    elif array.shape == (count, count):
        way_out = (
            "a (b, 1) array was broadcast against a (b,) array; bring outputs and targets to one "
            "shape, as with outputs[:, 0]"
        )
    else:
        way_out = "return one number per example, average over every axis but the first"
    raise TaskError(
        f"loss {name} returned {what} of shape {array.shape} for {count} examples; {way_out}."
    )
