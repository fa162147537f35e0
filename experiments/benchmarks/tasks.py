"""The task that benchmarks of whole trainings train."""

from __future__ import annotations

from typing import Any

import numpy as np
import optax

import jrecipe as jr


def task_of(model: Any, x: np.ndarray, y: np.ndarray, size: int) -> jr.Task:
    """Returns the task of a network.

    Args:
      model: a Flax module.
      x: float32[n, ...], inputs.
      y: int32[n], classes; the first 100 rows are also the validation split.
      size: of a batch.
    """
    return jr.Task(
        model=model,
        loss=jr.losses.softmax_cross_entropy(),
        train=(x, y),
        val=(x[:100], y[:100]),
        optimizer=optax.adam(1e-3),
        batch_size=size,
    )
