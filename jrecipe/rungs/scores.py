"""What a task reaches from several seeds, example by example (C3)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.order import batch_rows
from jrecipe.rungs.rung import Rung
from jrecipe.task import Task, spread
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.train.loop import fit
from jrecipe.train.reference import trainer_of
from jrecipe.train.seeds import TRAIN_ROWS, Arms, runs_as_arms
from jrecipe.train.some_rows import SomeRows
from jrecipe.types import PyTree, Source, TaskError

LOOKS = 10  # states among which early stopping chooses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one rung. The higher a score the better: the task's metric, or minus its loss.

    Attributes:
      seeds: which.
      steps: updates of each.
      val: float64[k, n], score of each validation example.
      weights: float64[n], its weight in the mean.
      train: float64[k], mean score in evaluation mode over up to 4096 training examples, as they
        are, without augmentation.
      val_loss: float64[k].
      train_loss: float64[k], over the same training examples.
      seconds: that all seeds took, compilation and scoring included.
    """

    seeds: tuple[int, ...]
    steps: int
    val: np.ndarray
    weights: np.ndarray
    train: np.ndarray
    val_loss: np.ndarray
    train_loss: np.ndarray
    seconds: float

    @property
    def val_mean(self) -> np.ndarray:
        """float64[k], mean score of each seed on the validation split."""
        mean: np.ndarray = (self.val * self.weights).sum(axis=1) / self.weights.sum()
        return mean

    @property
    def gap(self) -> np.ndarray:
        """float64[k], score on training examples minus that on validation examples."""
        return np.asarray(self.train - self.val_mean)


def train_rung(task: Task, rung: Rung, steps: int, seeds: Sequence[int]) -> Scores:
    """Trains a task as a rung says, once from each seed.

    Data in memory trains as arms that share one compiled program, see `train.seeds`; streamed data
    and foreign trainers run through `fit`, one seed after another.

    Args:
      task: with the rung's change.
      rung: how to train it.
      steps: updates of each seed.
      seeds: one run each.

    Raises:
      TaskError: if the tasks of a rung with `first` do not share their parameters.
      KeyboardInterrupt: if Ctrl-C was pressed.
    """
    start = time.perf_counter()
    first = None if rung.first is None else rung.first(task)
    own = runs_as_arms(task)
    if first is not None and not own:
        raise TaskError(
            f"Rung {rung.name!r} has `first`, which needs data in memory and jrecipe's trainer."
        )
    find = _by_arms if own else _by_fit
    states = find(task, first, rung, steps, seeds)
    predict = trainer_of(task).predict
    part = SomeRows(task.train, spread(len(task.train), TRAIN_ROWS))
    val = [_score(task, predict, state, task.val) for state in states]
    train = [_score(task, predict, state, part) for state in states]
    return Scores(
        seeds=tuple(seeds),
        steps=steps,
        val=np.stack([_values(one)[0] for one in val]),
        weights=_values(val[0])[1],
        train=np.array([_mean(*_values(one)) for one in train]),
        val_loss=np.array([one.loss for one in val]),
        train_loss=np.array([one.loss for one in train]),
        seconds=time.perf_counter() - start,
    )


def _by_arms(
    task: Task, first: Task | None, rung: Rung, steps: int, seeds: Sequence[int]
) -> list[Any]:
    arms, done = Arms(task), 0
    states = arms.start(seeds)
    if first is not None:
        before = Arms(first)
        shapes = [jax.tree.map(jnp.shape, one) for one in (states, before.start(seeds))]
        if shapes[0] != shapes[1]:
            raise TaskError(
                f"The first task of rung {rung.name!r} has other parameters than the task itself; "
                "the network has to take both kinds of inputs, as one with a mean over the "
                "picture does."
            )
        if steps < 2:
            raise TaskError(f"Rung {rung.name!r} has `first`, which needs 2 updates or more.")
        done = min(steps - 1, max(1, round(rung.first_share * steps)))
        states, _ = before.advance(states, _rows(first, seeds, 0, done))
    if not rung.early_stopping:
        states, _ = arms.advance(states, _rows(task, seeds, done, steps - done))
        return states
    best, lowest = list(states), [math.inf] * len(seeds)
    for end in np.unique(np.linspace(done, steps, LOOKS + 1).astype(int)[1:]):
        states, _ = arms.advance(states, _rows(task, seeds, done, int(end) - done))
        done = int(end)
        for i, loss in enumerate(arms.val_loss(states)):
            if loss < lowest[i]:
                best[i], lowest[i] = jax.tree.map(jnp.copy, states[i]), loss
    return [
        state if math.isinf(low) else kept
        for state, kept, low in zip(states, best, lowest, strict=True)
    ]


def _by_fit(
    task: Task, first: Task | None, rung: Rung, steps: int, seeds: Sequence[int]
) -> list[Any]:
    states = []
    every = max(1, -(-steps // LOOKS)) if rung.early_stopping else steps
    for seed in seeds:
        run = fit(task, steps, seed=seed, eval_every=every, progress=False)
        if run.signal:  # a part of the seeds is no answer
            raise KeyboardInterrupt
        states.append(run.best if rung.early_stopping else run.state)
    return states


def _rows(task: Task, seeds: Sequence[int], step: int, count: int) -> np.ndarray:
    n = len(task.train)
    return np.stack([batch_rows(n, task.batch_size, seed, step, count) for seed in seeds])


def _score(task: Task, predict: Any, state: PyTree, source: Source) -> Evaluation:
    return evaluate(predict, state, source, task.loss, metric=task.metric)


def _values(one: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    if len(one.metric_values):
        return one.metric_values.astype(np.float64), one.metric_weights.astype(np.float64)
    return -one.values.astype(np.float64), one.weights.astype(np.float64)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / weights.sum())
