"""What is searched for a data set, and the task for each point (E)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from jrecipe import losses
from jrecipe.data.splits import Splits
from jrecipe.recipe.plan import Plan, build_task, input_shape, knobs_of, turn_knobs
from jrecipe.task import Task
from jrecipe.train.init_well import init_well
from jrecipe.tune import Choice, LogUniform, Space, Uniform

_SHAPES = ("width", "batch_size")  # of what is given, what a program is compiled for
_KNOBS = ("learning_rate", "weight_decay", "dropout", "translate")


def planned_space(plan: Plan, splits: Splits) -> Space:
    """Returns what is searched for a data set: rate, decay, dropout, smoothing, moves, width.

    The width is the scientific parameter, half and all of the plan's; all others are nuisance
    parameters. The schedule is fixed: the rate falls to 0 over the run. So is the batch size, which
    `PlannedTasks` takes as well: at a given number of updates, a larger one has more work.

    Args:
      plan: around which to search.
      splits: the data.
    """
    searched: dict[str, Any] = {
        "learning_rate": LogUniform(1e-4, 3e-2),
        "weight_decay": LogUniform(1e-4, 1.0),
    }
    if plan.network != "linear":
        searched = {"width": Choice(max(plan.width // 2, 1), plan.width), **searched}
        searched["dropout"] = Uniform(0.0, 0.5)
    if splits.kind == "classes":
        searched["smoothing"] = Uniform(0.0, 0.2)
    shape = input_shape(splits)
    if len(shape) == 3:
        searched["translate"] = Uniform(0.0, max(1.0, min(shape[:2]) / 4))
    return Space(searched, scientific=("width",) if "width" in searched else ())


def default_params(plan: Plan, splits: Splits) -> dict[str, Any]:
    """Returns the values of a plan before any search, where a space has them."""
    own = {
        "width": plan.width,
        "learning_rate": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "dropout": plan.dropout,
        "smoothing": 0.0,
        "translate": float(plan.translate),
    }
    return {name: own[name] for name in planned_space(plan, splits)}


def cooked_space(plan: Plan, splits: Splits, *, rate_only: bool = False) -> Space:
    """Returns what `cook` searches: `planned_space` without width and smoothing.

    The width is what the stage before found to overfit, and the final loss is to be that of the
    labels.

    Args:
      plan: around which to search.
      splits: the data.
      rate_only: where runs are too short to judge more than the learning rate.
    """
    space = planned_space(plan, splits)
    names = ("learning_rate",) if rate_only else _KNOBS
    return Space({name: space[name] for name in names if name in space})


def tuned_plan(plan: Plan, params: dict[str, Any]) -> Plan:
    """Returns the plan with values of `cooked_space`."""
    known = {name: float(params[name]) for name in _KNOBS if name in params}
    if "translate" in known:
        known["translate"] = round(known["translate"])
    return plan.replace(**known)


@dataclasses.dataclass(frozen=True)
class PlannedTasks:
    """`(params) -> task` of a data set, whose numbers may be traced.

    Attributes:
      splits: the data.
      plan: what is not searched.
      steps: updates over which the rate falls to 0.
    """

    splits: Splits
    plan: Plan
    steps: int

    def __call__(self, params: dict[str, Any]) -> Task:
        """Returns the task of some values of `planned_space`."""
        shapes = tuple((name, params[name]) for name in _SHAPES if name in params)
        plan, task = self._built(shapes)
        fixed = {name: float(value) for name, value in knobs_of(plan).items()}
        knobs = {**fixed, **{name: params[name] for name in _KNOBS if name in params}}
        turned = turn_knobs(task, plan, self.splits, knobs)
        if "smoothing" not in params:
            return turned
        return turned.replace(loss=losses.softmax_cross_entropy(params["smoothing"]))

    @functools.cached_property
    def _known(self) -> dict[Any, tuple[Plan, Task]]:
        return {}

    def _built(self, shapes: tuple[tuple[str, Any], ...]) -> tuple[Plan, Task]:
        """Returns the plan of some shapes, and its task, which is built once."""
        if shapes not in self._known:
            plan = self.plan.replace(decay_over=self.steps, **dict(shapes))
            self._known[shapes] = plan, init_well(build_task(self.splits, plan))
        return self._known[shapes]
