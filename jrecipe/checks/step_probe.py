"""Runs a trainer from fresh states and writes down how its parameters move.

Everything is copied to NumPy before the next step, since a foreign step may write into its state or
donate it.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.task import Trainer
from jrecipe.train.frozen import path_name
from jrecipe.types import Array, Batch, Key, PyTree


class MalformedStepError(Exception):
    """A step returned something else than `(state, metrics)`, or other parameters than it got.

    Attributes:
      where: path of the parameter it is about, or "".
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.where = where


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trace:
    """Parameters of a trainer over some updates.

    Attributes:
      params: leaves as float64[size] each, at the start and after each update.
      dtypes: of the leaves.
      losses: the loss that each update reported, None where it reported none.
    """

    params: list[list[np.ndarray]]
    dtypes: list[np.dtype[Any]]
    losses: list[float | None]

    @property
    def moves(self) -> list[np.ndarray]:
        """The change of all parameters by each update, float64[parameters]."""
        joined = [join(leaves) for leaves in self.params]
        return [b - a for a, b in itertools.pairwise(joined)]


def join(leaves: Sequence[np.ndarray]) -> np.ndarray:
    """Returns all leaves as one vector float64[parameters]."""
    if not leaves:
        return np.zeros(0)
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in leaves])


def leaf_names(params: PyTree) -> list[str]:
    """Returns the paths of the leaves, such as "Dense_0/kernel"."""
    return [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def declared_frozen(names: Sequence[str], patterns: Sequence[str]) -> np.ndarray:
    """Returns bool[leaves]: whether a pattern names the path."""
    return np.array([any(fnmatch.fnmatchcase(n, p) for p in patterns) for n in names], bool)


def copied(trainer: Trainer, state: Any) -> list[np.ndarray]:
    """Returns copies of the parameters, in their own types."""
    return [np.array(leaf) for leaf in jax.tree.leaves(trainer.params(state))]


def step_once(trainer: Trainer, state: Any, batch: Batch, key: Key) -> tuple[Any, Any]:
    """Makes one update.

    Raises:
      MalformedStepError: if the step does not return `(state, metrics)`.
    """
    result = trainer.step(state, batch, key)
    itself = type(result) is type(state) and type(state) is not tuple  # a NamedTuple of two
    if not isinstance(result, tuple | list) or len(result) != 2 or itself:
        size = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        raise MalformedStepError(
            f"step returned a {type(result).__name__}{size}, not the pair (state, metrics)"
        )
    if result[0] is None and state is not None:
        raise MalformedStepError("step returned None as the new state")
    return result[0], result[1]


def reported_loss(metrics: Any) -> float | None:
    """Returns the loss among the metrics of a step, or a lone number; None if there is none."""
    value = metrics
    if isinstance(metrics, Mapping):
        value = next((metrics[k] for k in ("loss", "train_loss") if k in metrics), None)
    if not isinstance(value, int | float | np.ndarray | np.generic | jax.Array):
        return None
    array = np.asarray(value)
    if array.size != 1 or (array.dtype.kind not in "fiub" and str(array.dtype) != "bfloat16"):
        return None
    return float(array.reshape(()).astype(np.float64))


class Probe:
    """A trainer that is run again and again from equal states.

    Attributes:
      ctx: the examination.
      names: paths of the leaves of the parameters.
      frozen: bool[leaves], declared as frozen.
      sizes: of the leaves.
      start: leaves before any update, in their own shapes and types.
    """

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        params = ctx.trainer.params(ctx.fresh_state())
        self.names = leaf_names(params)
        self.start = [np.array(leaf) for leaf in jax.tree.leaves(params)]
        self.frozen = declared_frozen(self.names, tuple(ctx.task.frozen))
        self.sizes = [leaf.size for leaf in self.start]

    def run(self, batches: Sequence[Batch], keys: Sequence[Key] | None = None) -> Trace:
        """Makes one update per batch from a fresh state.

        Args:
          batches: one per update.
          keys: one per update; by default the key of the examination folded with the number.

        Raises:
          MalformedStepError: if a step returns something else than a state and metrics, or
            parameters of another structure, shape or type.
        """
        trainer = self.ctx.trainer
        state = self.ctx.fresh_state()
        snapshots, losses = [copied(trainer, state)], []
        for i, batch in enumerate(batches):
            key = jax.random.fold_in(self.ctx.key, i) if keys is None else keys[i]
            state, metrics = step_once(trainer, state, batch, key)
            now = copied(trainer, state)
            self._compare(now)
            snapshots.append(now)
            losses.append(reported_loss(metrics))
        return Trace(
            params=[[leaf.astype(np.float64).ravel() for leaf in leaves] for leaves in snapshots],
            dtypes=[leaf.dtype for leaf in snapshots[0]],
            losses=losses,
        )

    def first(self, batch: Batch, key: int = 0) -> np.ndarray:
        """Returns what the first update on `batch` adds to the parameters, float64[parameters]."""
        return self.run([batch], [jax.random.fold_in(self.ctx.key, key)]).moves[0]

    def slices(self) -> list[slice]:
        """Returns where each leaf lies in the joined vector."""
        ends = np.cumsum([0, *self.sizes])
        return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]

    def _compare(self, now: list[np.ndarray]) -> None:
        if len(now) != len(self.start):
            raise MalformedStepError(
                f"there are {len(now)} parameters after an update, {len(self.start)} before it"
            )
        for name, a, b in zip(self.names, self.start, now, strict=True):
            if a.shape != b.shape:
                raise MalformedStepError(
                    f"{name} was {a.shape}, is {b.shape} after an update", name
                )
            if a.dtype != b.dtype:
                raise MalformedStepError(
                    f"{name} was {a.dtype}, is {b.dtype} after an update", name
                )


def length(batch: Batch) -> int:
    """Returns the number of examples of a batch."""
    return len(np.asarray(batch.weights))


def reorder(batch: Batch, rows: Array, targets: Array | None = None) -> Batch:
    """Returns a batch of the examples `rows`, their targets from other rows if these are given."""
    rows = np.asarray(rows)
    beside = rows if targets is None else np.asarray(targets)
    pick = lambda tree, at: jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[at]), tree)  # noqa: E731
    return Batch(pick(batch.inputs, rows), pick(batch.targets, beside), batch.weights)


def joined(a: Batch, b: Batch) -> Batch:
    """Returns as many examples as `a` has: its first half, then the first half of `b`."""
    n = length(a)
    half = n // 2

    def mix(x: Array, y: Array) -> Array:
        return jnp.asarray(np.concatenate([np.asarray(x)[:half], np.asarray(y)[: n - half]]))

    return Batch(
        jax.tree.map(mix, a.inputs, b.inputs), jax.tree.map(mix, a.targets, b.targets), a.weights
    )
