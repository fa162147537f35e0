"""An ensemble out of one run, whose rate falls to 0 and rises again several times (F)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.data.order import batch_rows
from jrecipe.data.source import in_memory
from jrecipe.squeeze.ensemble_mean import kind_of
from jrecipe.squeeze.ensembles import Ensemble, ensemble_of
from jrecipe.task import Task, validate_values
from jrecipe.train.seeds import Arms, runs_as_arms
from jrecipe.types import Array, TaskError


def cycles_of_cosine(steps: int, cycles: int) -> Callable[[Array], Array]:
    """Returns `(count) -> factor`: half a cosine from 1 towards 0, over and over.

    Args:
      steps: of the run, a multiple of `cycles`.
      cycles: >= 1.

    Example:
      >>> factor = cycles_of_cosine(steps=8, cycles=2)
      >>> [round(float(factor(step)), 2) for step in range(8)]
      [1.0, 0.85, 0.5, 0.15, 1.0, 0.85, 0.5, 0.15]
    """
    length = steps // cycles

    def factor(count: Array) -> Array:
        return 0.5 * (1.0 + jnp.cos(jnp.pi * (count % length) / length))

    return factor


def snapshots(
    task: Task, cycles: int = 5, steps: int = 2_000, *, seed: int = 0, calibrate: bool = True
) -> Ensemble:
    """Trains one network and joins its states at the end of each cycle.

    Each of the task's own updates is multiplied by half a cosine that falls from 1 to 0 in each
    cycle, so the network settles and is thrown out again. Members cost one training together; they
    are less different than those of `ensemble`, and the first are less trained.

    Args:
      task: with a model, data in memory, and an optimiser whose rate is constant.
      cycles: members, >= 2.
      steps: updates of the whole run; rounded up to a multiple of `cycles`.
      seed: of weights, order and draws.
      calibrate: choose a temperature on the validation split, where there are probabilities.

    Raises:
      TaskError: if an argument cannot be used, or training blew up.

    References:
      Huang et al., "Snapshot Ensembles: Train 1, Get M for Free", 2017, arXiv:1704.00109.
    """
    for name, count, least in (("cycles", cycles, 2), ("steps", steps, cycles)):
        whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if not whole or count < least:
            raise TaskError(f"snapshots needs {name} as an integer >= {least}, got {count!r}.")
    if task.model is None or not runs_as_arms(task) or not in_memory(task.val):
        raise TaskError(
            "snapshots needs a task with a model, jrecipe's trainer in one phase and data in "
            "memory; use jr.squeeze.ensemble, which takes every task."
        )
    kind = kind_of(task.loss, "snapshots")
    validate_values(task)
    start, length = time.perf_counter(), math.ceil(steps / cycles)
    cyclic = optax.scale_by_schedule(cycles_of_cosine(length * cycles, cycles))
    arms = Arms(task.replace(optimizer=optax.chain(task.optimizer, cyclic)))
    states, found = arms.start([seed]), []
    for cycle in range(cycles):
        rows = batch_rows(len(task.train), task.batch_size, seed, cycle * length, length)
        states, _ = arms.advance(states, rows[None])
        found.append(jax.tree.map(jnp.copy, states[0]))
    if not np.isfinite(arms.val_loss(found)).all():
        raise TaskError("snapshots: a validation loss is not finite; use a lower learning rate.")
    joined = ensemble_of(task, found, time.perf_counter() - start)
    return joined.calibrated() if calibrate and kind != "number" else joined
