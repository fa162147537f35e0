"""The same task from several seeds, as arms of one compiled program (C3).

A change to a task is judged by what it brings over seeds, so the seeds have to be cheap: all of
them train in one compiled program, each with weights, order and draws of its own, and are scored on
the whole validation split between stretches. What differs between two runs only in numbers (a rate,
a strength) can be given as knobs, which are traced, so that both runs share the program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.data.buckets import buckets_of
from jrecipe.data.order import batch_rows, padded_rows
from jrecipe.data.source import in_memory
from jrecipe.task import Task, read, spread
from jrecipe.train.compiled import scans_well
from jrecipe.train.evaluate import evaluate
from jrecipe.train.loop import fit
from jrecipe.train.quick_on_cpu import quick_on_cpu
from jrecipe.train.reference import example_inputs, optimizer_of, trainer_of, update_of
from jrecipe.train.some_rows import SomeRows
from jrecipe.train.state import TrainState, create_state
from jrecipe.types import Array, Batch, PyTree, Source, TaskError
from jrecipe.unfreezing import Unfreezing

TRAIN_ROWS = 4096  # training examples that are scored at the end


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedRuns:
    """What several seeds of a task reached.

    Attributes:
      seeds: which.
      steps: int[e], updates at each evaluation.
      val_loss: float64[k, e], exact validation loss of each seed at each evaluation.
      train_loss: float64[k, e], mean loss of the training batches since the evaluation before.
      train_end: float64[k], loss in evaluation mode at the end, over up to 4096 training examples.
    """

    seeds: tuple[int, ...]
    steps: np.ndarray
    val_loss: np.ndarray
    train_loss: np.ndarray
    train_end: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """float64[k], lowest validation loss of each seed: early stopping (D11)."""
        return np.nanmin(np.where(np.isfinite(self.val_loss), self.val_loss, np.inf), axis=1)


class Arms:
    """The compiled program of a family of tasks that differ in numbers only.

    Where XLA runs a loop well, all updates of all arms are one program. Where it does not
    (convolutions on a CPU, see `train.compiled`), one update is, and it is called for each arm.

    Args:
      task: one of the family, with a model and data in memory; its data, loss and shapes are those
        of all.
      variant: `(knobs) -> task` of the family, called under a trace; None if there are no knobs.

    Raises:
      TaskError: if the rows of a split have several lengths (`buckets`), or the task has phases.
    """

    def __init__(self, task: Task, variant: Callable[[PyTree], Task] | None = None) -> None:
        require_arms(task)
        family = variant or (lambda knobs: task)
        size, inputs = task.batch_size, example_inputs(task)
        self.task = task
        self._data = jax.tree.map(jnp.asarray, read(task.train))
        self._val = padded_batches(task.val)
        self._train = padded_batches(task.train, TRAIN_ROWS)

        def start(key: Any, knobs: PyTree) -> TrainState:
            own = family(knobs)
            return create_state(own.model, optimizer_of(own), inputs, key)

        def one(
            state: TrainState, rows: Array, knobs: PyTree, data: PyTree
        ) -> tuple[TrainState, Array]:
            inputs, targets = jax.tree.map(lambda x: x[rows], data)
            batch = Batch(inputs, targets, jnp.ones(size))
            key = jax.random.fold_in(state.key, state.step)
            state, numbers = update_of(family(knobs))(state, batch, key)
            return state, numbers["loss"]

        def advance(
            state: TrainState, rows: Array, knobs: PyTree, data: PyTree
        ) -> tuple[TrainState, Array]:
            return jax.lax.scan(lambda s, r: one(s, r, knobs, data), state, rows)

        def all_arms(states: TrainState, rows: Array, knobs: PyTree, data: PyTree) -> Any:
            if jax.default_backend() == "cpu":
                # One after another in one program: a CPU is slower at batched matrix products.
                return jax.lax.map(
                    lambda arm: advance(arm[0], arm[1], arm[2], data), (states, rows, knobs)
                )
            return jax.vmap(advance, (0, 0, 0, None))(states, rows, knobs, data)

        def score(state: TrainState, batch: Batch) -> tuple[Array, Array]:
            outputs = task.model.apply(state.params, state.model_state, batch.inputs)[0]
            value, weight = losses.weighted(task.loss, outputs, batch.targets, batch.weights)
            return (value * weight).sum(), weight.sum()

        self._one = one
        self._start = jax.jit(start)
        self._advance = jax.jit(all_arms, donate_argnums=0)
        self._step = jax.jit(quick_on_cpu(one), donate_argnums=0)
        self._score = jax.jit(score)
        self._together: bool | None = None

    def start(self, seeds: Sequence[int], knobs: PyTree = ()) -> list[TrainState]:
        """Returns the state of each seed before its first update."""
        return [self._start(jax.random.key(seed), knobs) for seed in seeds]

    def advance(
        self, states: Sequence[TrainState], rows: np.ndarray, knobs: PyTree = ()
    ) -> tuple[list[TrainState], np.ndarray]:
        """Makes the same number of updates of each arm.

        Args:
          states: one an arm; donated.
          rows: int32[k, n, b], the batches of each.
          knobs: pytree of float32[] or int32[], for `variant`.

        Returns:
          The states after, and float64[k, n], the loss of each batch.
        """
        if self._together is None:
            first = jax.eval_shape(lambda: states[0])
            self._together = scans_well(self._one, first, rows[0, 0], knobs, self._data)
        if self._together:
            stacked = jax.tree.map(lambda *x: jnp.stack(x), *states)
            every = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * len(states)), knobs)
            stacked, loss = self._advance(stacked, rows, every, self._data)
            after = [jax.tree.map(lambda x, i=i: x[i], stacked) for i in range(len(states))]
            return after, np.asarray(loss, np.float64)
        after, losses_of = [], []
        for state, own in zip(states, rows, strict=True):
            values = []
            for row in own:
                state, value = self._step(state, row, knobs, self._data)
                values.append(value)
            after.append(state)
            losses_of.append(jax.device_get(values))
        return after, np.asarray(losses_of, np.float64)

    def run(
        self, seeds: Sequence[int], steps: int, looks: int = 10, knobs: PyTree = ()
    ) -> SeedRuns:
        """Trains one arm for each seed, all with the same knobs.

        Args:
          seeds: one arm each.
          steps: updates of each; rounded up to a multiple of `looks`.
          looks: evaluations in a run.
          knobs: pytree of float32[] or int32[], for `variant`.
        """
        states = self.start(seeds, knobs)
        n, size, stretch = len(self.task.train), self.task.batch_size, max(1, -(-steps // looks))
        val, train, at = [], [], []
        for look in range(looks):
            step = look * stretch
            rows = np.stack([batch_rows(n, size, seed, step, stretch) for seed in seeds])
            states, loss = self.advance(states, rows, knobs)
            val.append(self.val_loss(states))
            train.append(loss.mean(axis=1))
            at.append(step + stretch)
        return SeedRuns(
            seeds=tuple(seeds),
            steps=np.array(at),
            val_loss=np.stack(val, axis=1),
            train_loss=np.stack(train, axis=1),
            train_end=self._mean(states, self._train),
        )

    def val_loss(self, states: Sequence[TrainState]) -> np.ndarray:
        """Returns float64[k], the exact validation loss of each arm."""
        return self._mean(states, self._val)

    def _mean(self, states: Sequence[TrainState], batches: list[Batch]) -> np.ndarray:
        sums = [
            [jax.device_get(self._score(state, batch)) for batch in batches] for state in states
        ]
        total, weight = np.asarray(sums, np.float64).sum(axis=1).T
        return total / weight


def require_arms(task: Task) -> None:
    """Raises TaskError for a task that several arms of one program cannot train."""
    for name in ("train", "val"):
        if buckets_of(task.splits[name]) is not None:
            raise TaskError(
                f"Task.{name} has rows of several lengths (buckets), which seeds as one program "
                "cannot read; use jr.fit for each seed, or arrays of one shape."
            )
    if isinstance(task.frozen, Unfreezing):
        raise TaskError(
            "Task.frozen has phases, which seeds as one program cannot have; use jr.fit for each "
            "seed."
        )


def runs_as_arms(task: Task) -> bool:
    """Whether a task can be trained by `Arms`: its own step in one phase, on arrays in memory."""
    phases = isinstance(task.frozen, Unfreezing)
    return task.trainer is None and not phases and in_memory(task.train)


def fit_seeds(task: Task, steps: int, seeds: Sequence[int], looks: int = 10) -> SeedRuns:
    """Trains a task from several seeds and follows their validation losses.

    Foreign trainers, data that is streamed and tasks with phases run their seeds one after another,
    through `fit`.

    Args:
      task: what to train.
      steps: updates of each seed; rounded up to a multiple of `looks`.
      seeds: one arm each.
      looks: evaluations in a run.

    Raises:
      KeyboardInterrupt: if Ctrl-C was pressed.
    """
    if runs_as_arms(task) and in_memory(task.val):
        return Arms(task).run(seeds, steps, looks)
    every = max(1, -(-steps // looks))
    fits = []
    for seed in seeds:
        fits.append(fit(task, every * looks, seed=seed, eval_every=every, progress=False))
        if fits[-1].signal:  # a part of the seeds is no answer
            raise KeyboardInterrupt
    at = every * np.arange(1, looks + 1)

    def padded(values: np.ndarray) -> np.ndarray:  # a run that blew up ends early
        return np.concatenate([values, np.full(looks, np.inf)])[:looks]

    def stretches(loss: np.ndarray) -> np.ndarray:
        return np.array([loss[i : i + every].mean() for i in range(0, len(loss), every)])

    def train_end(state: Any) -> float:
        part = SomeRows(task.train, spread(len(task.train), TRAIN_ROWS))
        return evaluate(trainer_of(task).predict, state, part, task.loss).loss

    return SeedRuns(
        seeds=tuple(seeds),
        steps=at,
        val_loss=np.stack([padded(one.history["val_loss"][1:]) for one in fits]),
        train_loss=np.stack([padded(stretches(one.history["loss"])) for one in fits]),
        train_end=np.array([train_end(one.state) for one in fits]),
    )


def padded_batches(source: Source, limit: int | None = None) -> list[Batch]:
    """Returns a source, or rows spread over it, as batches of one shape."""
    inputs, targets = read(source, limit)
    n = len(jax.tree.leaves(inputs)[0])
    rows, masks = padded_rows(n, min(256, n))
    take = lambda tree, row: jax.tree.map(lambda x: jnp.asarray(x[row]), tree)  # noqa: E731
    return [
        Batch(take(inputs, row), take(targets, row), jnp.asarray(mask))
        for row, mask in zip(rows, masks, strict=True)
    ]
