"""Chunks of training: many updates between two looks, as one program where that is possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.buckets import source_training_rows
from jrecipe.data.source import in_memory
from jrecipe.data.stream import batches
from jrecipe.task import Task, read
from jrecipe.train.compiled import roll, scans_well
from jrecipe.train.layout import Layout
from jrecipe.train.reference import update_of
from jrecipe.types import Array, Batch, PyTree

# (state, step, count) -> (state, {"loss": float[count], ...}): the updates step .. step + count - 1
Chunk = Callable[[Any, int, int], tuple[Any, dict[str, np.ndarray]]]


LONGEST = 1_000  # most updates of a chunk
_ROWS = 2**18  # most rows of all batches of a chunk together: they are told to the device at once


def longest_chunk(task: Task) -> int:
    """Returns the most updates that a chunk of a task makes, >= 1."""
    return max(1, min(LONGEST, _ROWS // task.batch_size))


def own_chunk(
    task: Task,
    state: Any,
    seed: int,
    layout: Layout,
    accumulate: int,
    factor: Callable[[Array], Array] | None = None,
) -> Chunk:
    """Builds the chunk of the reference trainer: compiled, data on the device if it fits.

    A chunk makes up to `longest_chunk(task)` updates; its length compiles nothing anew. Data that
    is not in memory is read ahead while the device computes; where its rows have several lengths,
    one program is compiled for each of them. `factor` is that of `make_update`.
    """
    update = update_of(task, accumulate, layout.axis_name, factor)
    size = task.batch_size

    def on_batch(state: Any, batch: Batch) -> tuple[Any, dict[str, Array]]:
        return update(state, batch, jax.random.fold_in(state.key, state.step))

    def rows_of(step: int, count: int) -> np.ndarray:
        return source_training_rows(task.train, size, seed, step, count)

    if not in_memory(task.train):
        stepper = layout.compile(layout.inside(on_batch), 0)
        ones = jnp.ones(size, jnp.float32)

        def streamed(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
            numbers = []
            wanted = iter(rows_of(step, count))
            # Only a batch that is nowhere cut in parts is known to fit.
            whole = not layout.several and accumulate == 1
            for inputs, targets in batches(task.train, wanted, unpadded=whole):
                state, row = stepper(state, layout.spread(Batch(inputs, targets, ones)))
                numbers.append(row)
            known = jax.device_get(numbers)  # waits for the device, once
            return state, {k: np.array([float(row[k]) for row in known]) for k in known[0]}

        return streamed

    inputs, targets = layout.everywhere(jax.tree.map(jnp.asarray, read(task.train)))
    step_in_place = layout.inside(on_batch)

    def taken(rows: Array, inputs: PyTree, targets: PyTree) -> Batch:
        inputs, targets = jax.tree.map(lambda x: x[rows], (inputs, targets))
        return Batch(inputs, targets, jnp.ones(rows.shape[0]))

    def on_rows(state: Any, rows: Array, inputs: PyTree, targets: PyTree) -> tuple[Any, Any]:
        return step_in_place(state, taken(rows, inputs, targets))

    first = jax.eval_shape(taken, jnp.zeros(size, jnp.int32), inputs, targets)
    # The same operations without a mapped axis, which is not there to be traced.
    scan = scans_well(update_of(task, accumulate), state, first, state.key)
    longest = longest_chunk(task)
    runner = roll(on_rows, scan, layout.compile)

    drawn = _Drawn(size, rows_of)

    def resident(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
        rows = np.zeros((longest, size), np.int32)
        rows[:count] = drawn.take(step, count)
        state, numbers = runner(state, rows, count, inputs, targets)
        drawn.draw(step + count, count)  # while the device computes
        return state, {name: np.asarray(row)[:count] for name, row in numbers.items()}

    return resident


class _Drawn:
    """The rows of batches, drawn ahead."""

    def __init__(self, size: int, rows_of: Callable[[int, int], np.ndarray]) -> None:
        self._rows_of = rows_of
        self._start, self._rows = 0, np.empty((0, size), np.int32)

    def draw(self, step: int, count: int) -> None:
        """Draws the batches `step` to `step + count - 1`, as far as they are not there."""
        there = self._rows[step - self._start :] if step >= self._start else self._rows[:0]
        more = max(0, count - len(there))
        drawn = self._rows_of(step + len(there), more)
        self._start, self._rows = step, np.concatenate([there, drawn])

    def take(self, step: int, count: int) -> np.ndarray:
        """Returns them, int32[count, size]."""
        self.draw(step, count)
        return self._rows[:count]


def foreign_chunk(task: Task, seed: int) -> Chunk:
    """Builds the chunk of a user's own trainer: one call a step, as the user would make it."""
    trainer = task.trainer
    assert trainer is not None
    key = jax.random.fold_in(jax.random.key(seed), 1)

    def rows(step: int, count: int) -> Iterator[np.ndarray]:
        return iter(source_training_rows(task.train, task.batch_size, seed, step, count))

    def run(state: Any, step: int, count: int) -> tuple[Any, dict[str, np.ndarray]]:
        numbers: list[dict[str, float]] = []
        for i, row in enumerate(rows(step, count)):
            inputs, targets = jax.tree.map(jnp.asarray, task.train.take(row))
            batch = Batch(inputs, targets, jnp.ones(len(row), jnp.float32))
            state, metrics = trainer.step(state, batch, jax.random.fold_in(key, (step + i) % 2**32))
            numbers.append(scalars(metrics))
        names = set.intersection(*(set(row) for row in numbers))
        return state, {k: np.array([row[k] for row in numbers]) for k in sorted(names)}

    return run


def scalars(metrics: Any) -> dict[str, float]:
    """Returns the numbers among a foreign trainer's metrics by name; a lone number is the loss.

    "step" and names that start with "val_" are left out: the history has its own.
    """
    if not isinstance(metrics, Mapping):
        metrics = {"loss": metrics}
    named = {str(k): v for k, v in metrics.items() if _is_scalar(v)}
    own = [name for name in named if name == "step" or name.startswith("val_")]
    return {name: float(v) for name, v in named.items() if name not in own}


def _is_scalar(value: Any) -> bool:
    if isinstance(value, int | float):
        return True
    if not isinstance(value, jax.Array | np.ndarray | np.generic) or value.ndim != 0:
        return False
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    return any(jnp.issubdtype(value.dtype, kind) for kind in kinds)
