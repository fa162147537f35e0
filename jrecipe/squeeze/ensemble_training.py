"""Trains the members of an ensemble as arms of one program (F)."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.order import batch_rows
from jrecipe.data.source import in_memory
from jrecipe.squeeze.ensemble_mean import kind_of
from jrecipe.squeeze.ensembles import Ensemble, ensemble_of
from jrecipe.task import Task, validate_values
from jrecipe.train.loop import fit
from jrecipe.train.seeds import Arms, runs_as_arms
from jrecipe.train.state import TrainState
from jrecipe.types import TaskError

LOOKS = 10  # states of each member among which validation chooses


def ensemble(
    task: Task,
    members: int = 5,
    steps: int = 2_000,
    *,
    seed: int = 0,
    shared: int = 0,
    calibrate: bool = True,
) -> Ensemble:
    """Trains networks of one task from several seeds and joins them.

    Members are arms of one compiled program (`train.seeds`); streamed data trains them one after
    another through `jr.fit`. Of each, the state with the lowest validation loss among ten counts,
    as with `jr.fit`. A member is what `jr.fit(task, steps, seed=its seed)` gives, to rounding.

    Args:
      task: with a model; its loss is one of `jr.losses` for classes, tokens, yes/no or numbers.
      members: how many, >= 2.
      steps: updates of each, >= 1.
      seed: of the first member; the others have the seeds after it. So ensembles that are to be
        independent need seeds at least `members` apart.
      shared: updates, below `steps`, that are made once for all, before orders and draws part.
        Members of a common beginning are less different, so they gain less together, but their
        weights can be averaged (`greedy_soup`).
      calibrate: choose a temperature on the validation split, where there are probabilities.

    Raises:
      TaskError: if an argument cannot be used, or outputs of this loss have no mean.
      KeyboardInterrupt: if Ctrl-C was pressed: a part of the members is no answer.
    """
    for name, count, least in (("members", members, 2), ("steps", steps, 1), ("shared", shared, 0)):
        whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
        if not whole or count < least:
            raise TaskError(f"ensemble needs {name} as an integer >= {least}, got {count!r}.")
    if shared >= steps:
        raise TaskError(
            f"ensemble got shared={shared} of steps={steps}, which leaves nothing to differ in; "
            f"try shared={steps // 5}."
        )
    if task.model is None or task.trainer is not None:
        raise TaskError(
            "ensemble needs a task with a model and jrecipe's trainer; train the members with "
            "your own and join them by jr.squeeze.ensemble_of."
        )
    kind = kind_of(task.loss, "ensemble")
    as_arms = runs_as_arms(task) and in_memory(task.val)
    if shared and not as_arms:
        raise TaskError(
            "ensemble got `shared`, which needs data in memory and a task in one phase."
        )
    validate_values(task)
    start = time.perf_counter()
    seeds = range(seed, seed + members)
    states = _by_arms(task, steps, seeds, shared) if as_arms else _by_fit(task, steps, seeds)
    found = ensemble_of(task, states, time.perf_counter() - start)
    return found.calibrated() if calibrate and kind != "number" else found


def _by_arms(task: Task, steps: int, seeds: Sequence[int], shared: int) -> list[TrainState]:
    arms, n, size = Arms(task), len(task.train), task.batch_size

    def rows(step: int, count: int) -> np.ndarray:
        return np.stack([batch_rows(n, size, seed, step, count) for seed in seeds])

    if shared:
        first, _ = arms.advance(arms.start(seeds[:1]), rows(0, shared)[:1])
        states = [_parted(first[0], seed) for seed in seeds]
    else:
        states = arms.start(seeds)
    best, lowest = [_copy(state) for state in states], arms.val_loss(states).tolist()
    every, done = math.ceil(steps / LOOKS), shared
    while done < steps:
        count = min(every - done % every, steps - done)  # looks where `fit` does
        states, _ = arms.advance(states, rows(done, count))
        done += count
        found = arms.val_loss(states)
        if not np.isfinite(found).all():
            raise TaskError(
                f"ensemble: after {done} updates the validation losses of seeds {list(seeds)} are "
                f"{found.tolist()}; training blew up, use a lower learning rate."
            )
        for i, loss in enumerate(found):
            if loss < lowest[i]:
                best[i], lowest[i] = _copy(states[i]), float(loss)
    return best


def _parted(state: TrainState, seed: int) -> TrainState:
    """Returns a copy of a state that goes on with the draws of a seed."""
    key = jax.random.fold_in(jax.random.key(seed), 1)  # as `create_state` gives it
    return dataclasses.replace(_copy(state), key=key)


def _copy(state: TrainState) -> TrainState:
    copied: TrainState = jax.tree.map(jnp.copy, state)
    return copied


def _by_fit(task: Task, steps: int, seeds: Sequence[int]) -> list[TrainState]:
    states = []
    for seed in seeds:
        run = fit(task, steps, seed=seed, progress=False)
        if run.signal:
            raise KeyboardInterrupt
        if run.problem:
            raise TaskError(f"ensemble: seed {seed}: {run.problem}.")
        states.append(run.best)
    return states
