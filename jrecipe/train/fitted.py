"""What a training leaves: its states, its history, and what can be asked of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.figures import Curves
from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.train.history import History
from jrecipe.train.monitor import Monitor
from jrecipe.train.reference import trainer_of
from jrecipe.types import PyTree, TaskError


@dataclasses.dataclass(kw_only=True, repr=False)
class Fit:
    """A trained task.

    Attributes:
      task: what was trained.
      seed: of weights, order and draws.
      state: the state after the last update.
      best: the state with the lowest validation loss among those evaluated; with `average=True`
        its parameters are the averaged ones.
      best_step: the updates it had seen.
      history: "loss" and "grad_norm" by step; "val_loss", "val_loss_stderr", "val_metric" by
        evaluation.
      steps: updates applied.
      seconds: wall time of this call.
      compile_seconds: part of it spent compiling.
      interrupted: whether Ctrl-C or SIGTERM ended it early.
      signal: "SIGINT" or "SIGTERM" if one came, "" otherwise. It may have come too late to end this
        run; what trains several has to end then.
      problem: why it could not go on, empty if it could.
      stopped: why `patience` (D11) or `minutes` ended it, empty if they did not.
      unsaved: why the last checkpoint could not be written, empty if it was or was not asked for.
      monitor: what was seen on the way, None if it was not asked for.
      out: folder with the checkpoints, None if they were not saved.
      devices: how many shared each batch.
    """

    task: Task
    seed: int
    state: Any
    best: Any
    best_step: int
    history: History
    steps: int
    seconds: float
    compile_seconds: float
    interrupted: bool = False
    signal: str = ""
    problem: str = ""
    stopped: str = ""
    unsaved: str = ""
    monitor: Monitor | None = None
    out: Path | None = None
    devices: int = 1

    def evaluate(self, split: str = "val", *, best: bool = True, **options: Any) -> Evaluation:
        """Evaluates on a split, exactly.

        Args:
          split: "train", "val" or "test".
          best: the best state by validation loss, or else the last.
          **options: passed on to `jr.evaluate`.

        Raises:
          TaskError: if the task has no such split.
        """
        source = self.task.splits.get(split)
        if source is None:
            raise TaskError(
                f"Fit.evaluate has no split {split!r}; there are {[*self.task.splits]}."
            )
        state = self.best if best else self.state
        predict = trainer_of(self.task).predict
        options = {"metric": self.task.metric, **options}
        return evaluate(predict, state, source, self.task.loss, **options)

    def predict(self, inputs: PyTree) -> PyTree:
        """Returns the outputs of the best state for a batch of inputs, in evaluation mode."""
        return trainer_of(self.task).predict(self.best, inputs)

    def curves(self) -> Curves:
        """Returns the learning curves as a figure."""
        at, loss = self.history.steps("loss"), self.history["loss"]
        val_at, val = self.history.steps("val_loss"), self.history["val_loss"]
        if not len(at):  # a trainer of the user's own may not tell its loss
            at, loss = val_at, np.full(len(val_at), np.nan)
        known = np.isfinite(val)
        line = np.full(len(at), np.nan)
        if known.any():  # a line through the evaluations
            first, last = val_at[known][[0, -1]]
            line = np.interp(at, val_at[known], val[known])
            line[(at < first) | (at > last)] = np.nan
        return Curves(
            title=f"{self.task.name}: loss while training",
            x=at,
            lines={"training batch": loss, "validation, exact": line},
            ylabel="loss",
            log_y=True,
        )

    def __str__(self) -> str:
        val = self.history["val_loss"]
        best = ""
        if np.isfinite(val).any():
            best = f", best validation loss {np.nanmin(val):.4g} at step {self.best_step}"
        early = f"stopped, as {self.stopped}" if self.stopped else ""
        more = f" ({self.problem or early})" if self.problem or early else ""
        laid = f" on {self.devices} devices" if self.devices > 1 else ""
        return f"{self.task.name}: {self.steps} steps in {self.seconds:.1f} s{laid}{best}{more}"

    def __repr__(self) -> str:  # not its arrays, as a notebook would print them
        return f"<Fit {self}>"

    def _repr_html_(self) -> str:
        from jrecipe.draw import html

        return f"<p>{_escape(str(self))}</p>{html(self.curves())}"


def _escape(text: str) -> str:
    import html

    return html.escape(text)
