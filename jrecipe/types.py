"""What every part of jrecipe agrees on: a batch, a model, a source of examples, an error.

Nothing here imports another module of jrecipe.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

PyTree = Any  # nested tuples, lists, dicts, dataclasses of arrays, as in `jax.tree`
Array = Any  # jax.Array or np.ndarray: a leaf of a PyTree
Key = Any  # a typed JAX key, `jax.random.key(seed)`


class RecipeWarning(Warning):
    """Something went on that should be known of; commands print it as a line."""


class TaskError(ValueError):
    """A task, data set or argument that cannot be understood; says what to do instead.

    The message is one line that names the argument, the value it had, and a way out. The command
    line prints it and exits with code 2.
    """


def one_line(text: str) -> str:
    r"""Returns a text on one line, as the message of a `TaskError` has to be.

    Example:
      >>> one_line("a\n  b")
      'a b'
    """
    return " ".join(text.split())


class Batch(NamedTuple):
    """Some examples, as a pytree; it jits, shards and vmaps.

    Attributes:
      inputs: array or pytree of arrays, each with the examples along its leading axis `b`.
      targets: array or pytree of arrays, leading axis `b`.
      weights: float32[b]; 0 marks padding, so that `sum(value * weight) / sum(weight)` is the exact
        mean over the real examples.
    """

    inputs: PyTree
    targets: PyTree
    weights: Array


@dataclasses.dataclass(frozen=True)
class Model:
    """A network as two pure functions; Linen, NNX and plain functions are all adapted to it.

    Attributes:
      init: `(key, inputs) -> (params, state)`. `params` is what the optimiser moves; `state` is
        what training updates otherwise (BatchNorm statistics), `{}` if nothing.
      apply: `(params, state, inputs, *, key=None, train=False) -> (outputs, state)`. Without
        `train` it is a function of its arguments alone and returns `state` unchanged; with `train`
        dropout draws from `key` and normalisation uses the batch.
      without: `(*parts) -> Model`, the same network in training mode with the parts switched off:
        "dropout", "batch_statistics" (normalisation then uses the statistics in `state`). None
        where a network cannot be taken apart, as with plain functions.
      name: what reports call it.
    """

    init: Callable[[Key, PyTree], tuple[PyTree, PyTree]]
    apply: Callable[..., tuple[PyTree, PyTree]]
    without: Callable[..., Model] | None = None
    name: str = "model"


@runtime_checkable
class Source(Protocol):
    """Examples that can be read in any order.

    One whose rows have several lengths also has an attribute `buckets` int32[n], the length to
    which each row is padded; `take(rows)` pads its arrays to `max(buckets[rows])`. It may have
    `lengths` int32[n], what each row holds without padding, and `unpadded(rows)`: as `take`, for
    batches to train on as a whole, with what else its network needs to leave padding out.
    """

    def __len__(self) -> int:
        """Number of examples, at least 1."""

    def take(self, rows: np.ndarray) -> tuple[PyTree, PyTree]:
        """Returns `(inputs, targets)` of the examples `rows` int[k]; leading axes are `k`."""


Augment = Callable[[Key, Batch], Batch]  # a random change of a batch; shapes and dtypes stay
PerExample = Any  # float32[b], or (value float32[b], weight float32[b])
LossFunction = Callable[[PyTree, PyTree], PerExample]  # (outputs, targets) -> per example
