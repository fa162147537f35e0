"""Rungs for what most ladders try: data, picture size, batch size, capacity (D1, D6, D8, D12)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.source import as_source, in_memory
from jrecipe.rungs.rung import Change, Rung
from jrecipe.task import Task, spread
from jrecipe.train.some_rows import SomeRows
from jrecipe.types import Array, Source, TaskError

_PART = 1_000  # pictures resized at once


def some_data(share: float) -> Change:
    """Returns the change to a share of the training examples, spread evenly over them.

    Args:
      share: in (0, 1].

    Raises:
      TaskError: if the share is out of range; later, if it leaves fewer examples than a batch.
    """
    if not 0 < share <= 1:
        raise TaskError(f"some_data needs a share in (0, 1] of the training data, got {share!r}.")

    def change(task: Task) -> Task:
        rows = spread(len(task.train), max(1, round(share * len(task.train))))
        part: Any = SomeRows(task.train, rows)
        return task.replace(train=task.train.take(rows) if in_memory(task.train) else part)

    return change


def data_share(share: float) -> Rung:
    """Returns the rung of training on a share of the data (D1); see `learning_curve`.

    Args:
      share: in (0, 1].
    """
    return Rung(name=f"{share:.3g} of the data", change=some_data(share))


def resized(size: int) -> Change:
    """Returns the change to square pictures of another size, in all splits.

    Shrinking averages over pixels, growing interpolates bilinearly (`jax.image.resize`).

    Args:
      size: pixels, >= 1.

    Raises:
      TaskError: later, if the inputs are no pictures [n, h, w, c] in memory.
    """
    if not isinstance(size, int) or size < 1:
        raise TaskError(f"resized needs a number of pixels >= 1, got {size!r}.")
    to_size = jax.jit(
        lambda x: jax.image.resize(x, (x.shape[0], size, size, x.shape[3]), "linear", True)
    )

    def resize(source: Source) -> Source:
        streamed = None, None
        both: Any = source.take(np.arange(len(source))) if in_memory(source) else streamed
        inputs, targets = both
        if getattr(inputs, "ndim", 0) != 4:
            raise TaskError(
                f"Pictures of {size} pixels need inputs [n, h, w, c] in memory; resize streamed "
                "pictures where they are read."
            )

        def part(x: np.ndarray) -> Array:
            small = to_size(jnp.asarray(x, jnp.float32))
            kept: Array = small if np.issubdtype(x.dtype, np.floating) else jnp.round(small)
            return kept

        parts = [np.asarray(part(inputs[i : i + _PART])) for i in range(0, len(inputs), _PART)]
        return as_source((np.concatenate(parts).astype(inputs.dtype), targets))

    def change(task: Task) -> Task:
        return task.replace(**{name: resize(source) for name, source in task.splits.items()})

    return change


def pictures_of(size: int) -> Rung:
    """Returns the rung of pictures of another size, in training and judging (D6).

    Args:
      size: pixels of a side, >= 1.
    """
    return Rung(name=f"pictures of {size} px", change=resized(size), together=True)


def progressive(size: int, share: float = 0.5) -> Rung:
    """Returns the rung of small pictures first, then those of the task (Howard, 2018).

    Args:
      size: pixels of a side of the first pictures.
      share: of the updates made on them, in (0, 1).
    """
    return Rung(name=f"{size} px first", first=resized(size), first_share=share)


def batch_of(size: int, steps: float = 1.0) -> Rung:
    """Returns the rung of another batch size (D8).

    Args:
      size: examples in a batch, >= 1.
      steps: updates as a multiple of those below; twice as many at half the size see as many
        examples.
    """
    return Rung(
        name=f"batches of {size}", change=lambda task: task.replace(batch_size=size), steps=steps
    )


def larger(model: Any, name: str = "larger, stopped early") -> Rung:
    """Returns the rung of another network, of which the best state counts (D12).

    Args:
      model: as `Task.model`.
      name: of the rung.
    """
    return Rung(name=name, change=lambda task: task.replace(model=model), early_stopping=True)
