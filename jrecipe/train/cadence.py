"""When a run evaluates, when it is saved, and when it is over.

A run without an end may be left training for weeks (F). Its evaluations thin out as it grows longer
(`jrecipe.train.thinning`), and it is saved by the clock, which changes nothing in it.
"""

from __future__ import annotations

import math
import time

import numpy as np

from jrecipe.task import Task
from jrecipe.train.thinning import stride
from jrecipe.types import TaskError

UPDATES = 2**14  # of a run without an end whose losses are all kept; then ever fewer
EVALUATIONS = 2**12  # of a run without an end that all take place; then ever fewer
APART = 200  # updates between two evaluations of a run without an end, at least
SECONDS = 60.0  # between two checkpoints of a run without an end, about


class Cadence:
    """The steps at which a run evaluates, is saved and ends.

    Args:
      task: what is trained; a run without an end evaluates once per epoch, but no sooner than
        after 200 updates, nor than it has trained on three times as many rows as it evaluates.
      steps: updates in all; None for no end.
      eval_every: updates between two evaluations; None for ten in a run, or in its cooldown.
      save_every: updates between two checkpoints; None for each evaluation or, without an end, for
        one a minute.
      cooldown: updates at the end over which the rate falls, 0 for none.
      steady: decide by the step alone, for processes whose clocks differ.

    Attributes:
      steps: see above.
      eval_every: as it was given or chosen.

    Raises:
      TaskError: if one that is given is no integer >= 1.
    """

    def __init__(
        self,
        task: Task,
        steps: int | None,
        eval_every: int | None,
        save_every: int | None,
        cooldown: int,
        steady: bool,
    ) -> None:
        if steps is not None:
            require_count("steps", steps)
        if cooldown:
            require_count("cooldown", cooldown)
        if eval_every is None and steps is not None:
            eval_every = max(1, math.ceil((cooldown or steps) / 10))
        elif eval_every is None:
            rows = max(len(task.train), 3 * len(task.val))
            eval_every = max(APART, math.ceil(rows / task.batch_size))
        require_count("eval_every", eval_every)
        self.steps, self.eval_every = steps, eval_every
        if save_every is None and (steps is not None or steady):
            save_every = eval_every
        if save_every is not None:
            require_count("save_every", save_every)
        self._save_every, self._saved = save_every, time.monotonic()

    @property
    def endless(self) -> bool:
        """Whether no number of updates ends the run."""
        return self.steps is None

    def is_over(self, step: int) -> bool:
        """Whether all updates are made."""
        return self.steps is not None and step >= self.steps

    def room(self, step: int) -> int:
        """Returns how many updates there are after `step` until something is due, >= 1."""
        stops = [self._evaluation_after(step)]
        if self._save_every is not None:
            stops.append((step // self._save_every + 1) * self._save_every)
        if self.steps is not None:
            stops.append(self.steps)
        return min(stops) - step

    def evaluates(self, step: int) -> bool:
        """Whether a run that has come to `step` evaluates there."""
        return self.is_over(step) or self._evaluation_after(step - 1) == step

    def saves(self, step: int) -> bool:
        """Whether a run that has come to `step` saves there; its end is saved in any case."""
        if self.is_over(step):
            return False
        if self._save_every is not None:
            return step % self._save_every == 0
        now = time.monotonic()
        due = now - self._saved >= SECONDS
        self._saved = now if due else self._saved
        return due

    def _evaluation_after(self, step: int) -> int:
        number = step // self.eval_every
        apart = stride(number + 1, EVALUATIONS) if self.endless else 1
        return (number // apart + 1) * apart * self.eval_every


def require_count(name: str, value: object) -> None:
    """Raises TaskError if an argument of `fit` is no integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise TaskError(f"fit needs {name} as an integer >= 1, got {value!r}.")
