"""A task as an objective: train it, look at it, and stop when told (E)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jrecipe.data.source import in_memory
from jrecipe.task import Task
from jrecipe.train.evaluate import evaluate
from jrecipe.train.loop import fit
from jrecipe.train.reference import trainer_of
from jrecipe.train.seeds import runs_as_arms
from jrecipe.tune.attempt import Report
from jrecipe.tune.members import MakeTask, Members, judged
from jrecipe.tune.population import By, parted
from jrecipe.tune.space import Params


@dataclasses.dataclass(frozen=True)
class TaskObjective:
    """`(params, report) -> (value, numbers)` that trains `make_task(params)`.

    A process compiles one program for all trials that differ in numbers only, as in a population.
    Trainers of the user's own and streamed data go through `jr.fit`, which cannot be stopped on
    the way.

    Attributes:
      make_task: see `population`; importable, for several workers.
      steps: updates of a trial, rounded up to a multiple of `looks`.
      looks: how often it is evaluated and reported.
      by: "loss" or "metric", see `population`.
      seed: of every trial.
      groups: see `population`.
    """

    make_task: MakeTask
    steps: int
    looks: int = 9
    by: By = "loss"
    seed: int = 0
    groups: Sequence[str] = ()
    _programs: dict[Any, Members] = dataclasses.field(
        default_factory=dict, compare=False, repr=False, init=False
    )

    def __reduce__(self) -> Any:
        given = (self.make_task, self.steps, self.looks, self.by, self.seed, self.groups)
        return type(self), given  # programs stay with their process

    def __call__(self, params: Params, report: Report) -> tuple[float, dict[str, float]]:
        """Trains, reports each look, and returns the value at the end with loss and metric."""
        fixed, traced = parted(params, self.groups)
        key = (tuple((k, type(v), v) for k, v in sorted(fixed.items())), tuple(traced))
        if key not in self._programs:
            task = self.make_task(params)
            if not runs_as_arms(task) or not in_memory(task.val):
                return self._fitted(task, report)
            self._programs[key] = Members(self.make_task, fixed, traced, jax.devices()[:1])
        members = self._programs[key]
        knobs = {name: np.asarray([value], np.float32) for name, value in traced.items()}
        now = members.start([self.seed], knobs)
        stretch = -(-self.steps // self.looks)
        value, numbers = math.nan, {}
        for look in range(self.looks):
            now, seen = members.stretch(now, look * stretch, stretch)
            numbers = {"loss": float(seen.loss[0]), "metric": float(seen.metric[0])}
            value = numbers["loss"] if self.by == "loss" else -numbers["metric"]
            if not math.isfinite(value):
                break
            report((look + 1) * stretch, value)
        return value, numbers

    def _fitted(self, task: Task, report: Report) -> tuple[float, dict[str, float]]:
        result = fit(task, self.steps, seed=self.seed, progress=False)
        if result.signal:
            raise KeyboardInterrupt
        found = evaluate(
            trainer_of(task).predict,
            result.state,
            task.val,
            judged(task.loss),
            metric=task.metric,
        )
        numbers = {"loss": float(found.loss), "metric": float(found.metric)}
        value = numbers["loss"] if self.by == "loss" else -numbers["metric"]
        report(result.steps, value)
        return value, numbers
