"""A run between two chunks of updates: what it is at, and what moves it on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from jrecipe.task import Task
from jrecipe.train.averaging import averaged
from jrecipe.train.blow_up import became, explain, first_bad
from jrecipe.train.chunks import Chunk, foreign_chunk, own_chunk
from jrecipe.train.evaluate import evaluate
from jrecipe.train.history import History
from jrecipe.train.layout import Layout
from jrecipe.train.phases import room_in_phase, state_at, task_at
from jrecipe.train.reference import trainer_of
from jrecipe.train.saver import Saved
from jrecipe.train.state import copy_state
from jrecipe.types import Array, PyTree

OnNaN = Literal["stop", "skip"]
MOST_SKIPPED = 100  # updates that are not finite, before a run is given up


class Running:
    """A run, from its first state or a saved one.

    Args:
      task: what is trained.
      seed: of weights, order and draws.
      layout: where its arrays lie.
      accumulate: see `make_update`.
      on_nan: see `fit`.
      average: evaluate, and keep as best, the averaged weights.
      folder: for the batch of an update that is not finite; None keeps none.
      dense: of how many updates the history has all rows, see `History.extend`; None for all.
      factor: of the optimiser's updates, see `make_update`.

    Attributes:
      step: updates applied.
      state: after them.
      best: the state with the lowest validation loss among those evaluated.
      best_step: the updates it had seen.
      history: rows up to `step`.
      problem: why it cannot go on, "" if it can.

    Raises:
      TaskError: if `average` is asked for, and the optimiser keeps none.
    """

    def __init__(
        self,
        task: Task,
        seed: int,
        layout: Layout,
        *,
        accumulate: int,
        on_nan: OnNaN,
        average: bool,
        folder: Path | None,
        dense: int | None = None,
        factor: Callable[[Array], Array] | None = None,
    ) -> None:
        self._task, self._seed, self._layout, self._folder = task, seed, layout, folder
        self._accumulate, self._on_nan, self._skipped = accumulate, on_nan, 0
        self._dense, self._factor = dense, factor
        trainer = trainer_of(task)
        self._predict = layout.predicting(trainer.predict)
        self.state = layout.place(trainer.init(jax.random.key(seed)))
        self._shown = jax.jit(_with_averages) if average else lambda state: state
        if average:
            jax.eval_shape(_with_averages, self.state)
        self.history, self.step, self.problem = History(), 0, ""
        self.best, self.best_step, self._best_loss = self.state, 0, math.inf
        self._chunk: Chunk | None = None

    def like(self, step: int) -> PyTree:
        """Returns a state of the form that one after `step` updates has, before any update."""
        return self._layout.local(state_at(self._task, self.state, 0, step))

    def resume(self, saved: Saved) -> None:
        """Goes on from what was saved."""
        self.step, self.state = saved.step, self._layout.place(saved.state)
        self.best, self.best_step, self._best_loss = saved.best, saved.best_step, saved.best_loss
        self.history = saved.history

    def begin(self) -> None:
        """Prepares the chunks, and evaluates the weights before any update."""
        self._prepare()
        if self.step == 0:
            self.evaluate()

    def _prepare(self) -> None:
        """Builds the chunks of the phase that `step` is in."""
        task, seed = self._task, self._seed
        self._chunk = None  # before its data go to the device once more
        if task.trainer is not None:
            self._chunk = foreign_chunk(task, seed)
        else:
            now = task_at(task, self.step)
            self._chunk = own_chunk(
                now, self.state, seed, self._layout, self._accumulate, self._factor
            )

    def _enter_phase(self, before: int) -> None:
        """Brings the state into the phase that `step` is in, if the last chunk began in another."""
        state = state_at(self._task, self.state, before, self.step)
        if state is not self.state:
            self.state = self._layout.place(state)
            self._prepare()

    def evaluate(self) -> dict[str, float]:
        """Evaluates on the whole validation split, and keeps the state if it is the best.

        Returns:
          the row that was added to the history, with its "step".
        """
        task, state = self._task, self._shown(self.state)
        result = evaluate(self._predict, state, task.val, task.loss, metric=task.metric)
        row = {"val_loss": result.loss, "val_loss_stderr": result.loss_stderr}
        if task.metric is not None:
            row["val_metric"] = result.metric
        self.history.add(self.step, row)
        if result.loss < self._best_loss or self.step == 0:
            self._best_loss = result.loss if math.isfinite(result.loss) else math.inf
            self.best_step, self.best = self.step, copy_state(self._layout.local(state))
        return self.history.rows[-1]

    def advance(self, count: int) -> dict[str, float]:
        """Makes `count` updates; fewer where a phase ends, or if one of them is not finite.

        Returns:
          what a progress bar shows: the last loss, if it is known.
        """
        assert self._chunk is not None
        begun, count = self.step, room_in_phase(self._task, self.step, count)
        # A foreign step cannot be taken back: its order of draws is its own.
        before = None if self._task.trainer is not None else copy_state(self.state)
        self.state, rows = self._chunk(self.state, self.step, count)
        bad = first_bad(rows)
        if bad is not None and before is not None:  # back to the last good state
            self.state = self._chunk(before, self.step, bad)[0] if bad else before
            count = bad + 1
        seen = {name: row[:count] for name, row in rows.items()}
        self.history.extend(self.step, seen, self._dense)
        if bad is None:
            self.step += count
        elif before is not None and self._on_nan == "skip" and self._skipped < MOST_SKIPPED:
            self.state = dataclasses.replace(self.state, step=self.state.step + 1)
            self.step, self._skipped = self.step + count, self._skipped + 1
            self.history.add(self.step, {"skipped": 1.0})
        else:
            self.problem = _story(self.history, rows, bad, self.step)
            self.step += count if before is None else bad
            if before is not None:
                state = self._layout.local(self.state)
                said = explain(self._task, state, self.step, self._seed, self._folder)
                self.problem += f"; {said}"
        self._enter_phase(begun)
        return {"loss": float(rows["loss"][-1])} if "loss" in rows else {}


def _with_averages(state: Any) -> PyTree:
    return dataclasses.replace(state, params=averaged(state.opt_state, state.params))


def _story(history: History, rows: Mapping[str, np.ndarray], bad: int, step: int) -> str:
    """Says which update is not finite, and how large the gradient was before."""
    norms = [
        row["grad_norm"] for row in history.rows if row["step"] <= step + bad and "grad_norm" in row
    ]
    norm = f"; grad_norm was {norms[-1]:.3g} before" if norms else ""
    return f"{became(rows, bad)} at step {step + bad + 1}{norm}"
