"""The same task from several seeds, as arms of one vmapped program (C3).

A change to a task is judged by what it brings over seeds, so the seeds have to be cheap: all of them
train in one compiled scan, each with weights, order and draws of its own, and are scored on the
whole validation split between stretches.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.data.order import batch_rows, padded_rows
from jrecipe.data.source import in_memory
from jrecipe.task import Task, read
from jrecipe.train.compiled import scans_well
from jrecipe.train.loop import fit
from jrecipe.train.reference import example_inputs, optimizer_of, update_of
from jrecipe.train.state import TrainState, create_state
from jrecipe.types import Array, Batch, PyTree


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedRuns:
    """What several seeds of a task reached.

    Attributes:
      seeds: which.
      steps: int[e], updates at each evaluation.
      val_loss: float64[k, e], exact validation loss of each seed at each evaluation.
      train_loss: float64[k, e], mean loss of the training batches since the evaluation before.
    """

    seeds: tuple[int, ...]
    steps: np.ndarray
    val_loss: np.ndarray
    train_loss: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """float64[k], lowest validation loss of each seed: early stopping (D11)."""
        return np.nanmin(np.where(np.isfinite(self.val_loss), self.val_loss, np.inf), axis=1)


def fit_seeds(task: Task, steps: int, seeds: Sequence[int], looks: int = 10) -> SeedRuns:
    """Trains a task from several seeds and follows their validation losses.

    Args:
      task: what to train.
      steps: updates of each seed; rounded up to a multiple of `looks`.
      seeds: one arm each.
      looks: evaluations in a run.
    """
    stretch = max(1, -(-steps // looks))
    state, rows = None, jnp.zeros(task.batch_size, jnp.int32)
    vmappable = task.trainer is None and in_memory(task.train) and in_memory(task.val)
    if vmappable:
        arms = _Arms(task)
        state = arms.start(seeds)
        first = jax.tree.map(lambda x: x[0], state)
        vmappable = scans_well(arms.update, first, rows, arms.data)
    if not vmappable:
        return _one_by_one(task, stretch * looks, seeds, stretch)
    n = len(task.train)
    val, train, at = [], [], []
    for look in range(looks):
        step = look * stretch
        every = np.stack([batch_rows(n, task.batch_size, seed, step, stretch) for seed in seeds])
        state, loss = arms.advance(state, every, arms.data)
        values, weights = (np.asarray(x, np.float64) for x in arms.score(state, arms.val))
        val.append((values * weights).sum(axis=1) / weights.sum(axis=1))
        train.append(np.asarray(loss, np.float64).mean(axis=1))
        at.append(step + stretch)
    return SeedRuns(
        seeds=tuple(seeds),
        steps=np.array(at),
        val_loss=np.stack(val, axis=1),
        train_loss=np.stack(train, axis=1),
    )


class _Arms:
    """The compiled pieces of `fit_seeds`."""

    def __init__(self, task: Task) -> None:
        update, tx, size = update_of(task), optimizer_of(task), task.batch_size
        inputs = example_inputs(task)
        self.data = jax.tree.map(jnp.asarray, read(task.train))
        index, masks = padded_rows(len(task.val), min(256, len(task.val)))
        val_inputs, val_targets = read(task.val)
        take = lambda tree: jax.tree.map(lambda x: jnp.asarray(x)[index], tree)  # noqa: E731
        self.val = Batch(take(val_inputs), take(val_targets), jnp.asarray(masks))

        def start(key: Any) -> TrainState:
            return create_state(task.model, tx, inputs, key)

        def one(state: TrainState, rows: Array, data: PyTree) -> tuple[TrainState, Array]:
            inputs, targets = jax.tree.map(lambda x: x[rows], data)
            batch = Batch(inputs, targets, jnp.ones(size))
            state, numbers = update(state, batch, jax.random.fold_in(state.key, state.step))
            return state, numbers["loss"]

        def advance(state: TrainState, rows: Array, data: PyTree) -> tuple[TrainState, Array]:
            return jax.lax.scan(lambda s, r: one(s, r, data), state, rows)

        def score(state: TrainState, val: Batch) -> tuple[Array, Array]:
            def values(batch: Batch) -> tuple[Array, Array]:
                outputs = task.model.apply(state.params, state.model_state, batch.inputs)[0]
                return losses.weighted(task.loss, outputs, batch.targets, batch.weights)

            value, weight = jax.lax.map(values, val)
            return value.reshape(-1), weight.reshape(-1)

        self.update = one
        self._start = jax.jit(jax.vmap(start))
        self.advance = jax.jit(jax.vmap(advance, (0, 0, None)), donate_argnums=0)
        self.score = jax.jit(jax.vmap(score, (0, None)))

    def start(self, seeds: Sequence[int]) -> TrainState:
        return self._start(jax.vmap(jax.random.key)(jnp.asarray(list(seeds), jnp.uint32)))


def _one_by_one(task: Task, steps: int, seeds: Sequence[int], every: int) -> SeedRuns:
    """The same through `fit`, for tasks that cannot be vmapped or would be slow in a scan."""
    fits = [fit(task, steps, seed=seed, eval_every=every, progress=False) for seed in seeds]
    at = np.arange(every, steps + 1, every)

    def padded(values: np.ndarray) -> np.ndarray:  # a run that blew up ends early
        return np.concatenate([values, np.full(max(0, len(at) - len(values)), np.inf)])[: len(at)]

    def batches(history: Any) -> np.ndarray:
        loss = history["loss"]
        return np.array([loss[i : i + every].mean() for i in range(0, len(loss), every)])

    return SeedRuns(
        seeds=tuple(seeds),
        steps=at,
        val_loss=np.stack([padded(one.history["val_loss"][1:]) for one in fits]),
        train_loss=np.stack([padded(batches(one.history)) for one in fits]),
    )
