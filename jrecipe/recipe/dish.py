"""What `cook` works on: a task that can grow, and be changed in one thing at a time.

A dish made from a data set changes its plan; a dish made from a user's task keeps everything that
is the user's and only adds copies of the network or an augmentation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import optax

from jrecipe import augment
from jrecipe.data.source import in_memory
from jrecipe.data.splits import Splits
from jrecipe.models.copies import copies
from jrecipe.recipe.plan import (
    Plan,
    build_task,
    input_shape,
    knobs_of,
    plan_from_json,
    suggest_plan,
    turn_knobs,
)
from jrecipe.recipe.tuning import PlannedTasks, cooked_space, tuned_plan
from jrecipe.task import Task, read
from jrecipe.train.init_well import init_well
from jrecipe.train.seeds import Arms, SeedRuns, fit_seeds, runs_as_arms
from jrecipe.tune import LogUniform, Space
from jrecipe.tune.members import MakeTask
from jrecipe.tune.space import Params
from jrecipe.types import Augment, TaskError

# What a program is compiled for.
_SHAPES = ("network", "width", "depth", "head", "norm", "vocabulary", "batch_size")


@dataclasses.dataclass(frozen=True)
class Rung:
    """One complication: what it is, and the dish with it.

    Attributes:
      name: as the report calls it.
      item: id of the recipe item.
      apply: `(dish) -> dish` with this one thing changed.
    """

    name: str
    item: str
    apply: Callable[[Dish], Dish]


@dataclasses.dataclass(frozen=True)
class Search:
    """What of a dish can be tuned (E).

    Attributes:
      space: of values.
      make_task: `(params) -> task`, whose numbers may be traced.
      adopt: `(params) -> dish` that has these values.
    """

    space: Space
    make_task: MakeTask
    adopt: Callable[[Params], Dish]


class Dish(Protocol):
    """A task in the making."""

    @property
    def task(self) -> Task:
        """The task as it is now."""

    @property
    def size(self) -> str:
        """How large the network is, in words."""

    def bigger(self) -> Dish | None:
        """The same with about twice the capacity, None if it cannot grow."""

    def lighter(self) -> Dish | None:
        """The same with about half the capacity, None if it is the user's own or at its least."""

    def well(self) -> Dish:
        """The same with its final bias initialised from the targets, where possible (B5)."""

    def faster(self, factor: float) -> Dish:
        """The same with its learning rate multiplied."""

    def rungs(self, steps: int, bounded: bool = False) -> tuple[Rung, ...]:
        """What could help, to be tried in this order (D), in runs of `steps`.

        Where work is `bounded`, only what so short a run can judge: that the network learns faster,
        or that moved pictures do not harm.
        """

    def train(self, seeds: Sequence[int], steps: int, looks: int = 10) -> SeedRuns:
        """Trains it from several seeds, with so many evaluations."""

    def stretched(self, steps: int, bounded: bool = False) -> Dish:
        """The same with its schedule laid over a run of `steps`; where `bounded`, it gets one."""

    def search(self, steps: int, bounded: bool = False) -> Search | None:
        """What can be tuned in runs of `steps`, None if nothing can.

        Where work is `bounded`, only the learning rate, which a short run can judge.
        """

    def to_json(self) -> dict[str, Any]:
        """What `dish_from_json` makes it of again, beside what was given."""


@dataclasses.dataclass(frozen=True)
class PlannedDish:
    """A dish made from a data set.

    Attributes:
      splits: the data.
      plan: what jrecipe builds on it.
      biased: whether the final bias comes from the targets.
      programs: compiled programs by what is not a number in the plan; shared by all changes.
    """

    splits: Splits
    plan: Plan
    biased: bool = False
    programs: dict[Plan, Arms] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @functools.cached_property
    def task(self) -> Task:
        """The task of the plan."""
        task = build_task(self.splits, self.plan)
        return init_well(task) if self.biased else task

    @property
    def size(self) -> str:
        """Network and width."""
        return f"{self.plan.network}, width {self.plan.width}"

    def _with(self, **changes: object) -> PlannedDish:
        return dataclasses.replace(self, plan=self.plan.replace(**changes))

    def bigger(self) -> PlannedDish | None:
        """The same with twice the width."""
        return None if self.plan.network == "linear" else self._with(width=2 * self.plan.width)

    def lighter(self) -> PlannedDish | None:
        """The same with half the width, of convolutions."""
        if self.plan.network != "convnet" or self.plan.width <= 8:
            return None
        return self._with(width=self.plan.width // 2)

    def well(self) -> PlannedDish:
        """The same with its final bias from the targets."""
        return dataclasses.replace(self, biased=True)

    def faster(self, factor: float) -> PlannedDish:
        """The same with another learning rate."""
        return self._with(learning_rate=self.plan.learning_rate * factor)

    def train(self, seeds: Sequence[int], steps: int, looks: int = 10) -> SeedRuns:
        """Trains the plan from several seeds; plans that differ in numbers share a program."""
        if not (in_memory(self.splits.train) and in_memory(self.splits.val)):
            return fit_seeds(self.task, steps, seeds, looks)
        base = dataclasses.replace(Plan(), **{name: getattr(self.plan, name) for name in _SHAPES})
        if base not in self.programs:
            task, plan, splits = self.task, self.plan, self.splits
            self.programs[base] = Arms(task, lambda knobs: turn_knobs(task, plan, splits, knobs))
        return self.programs[base].run(seeds, steps, looks, knobs=knobs_of(self.plan))

    def stretched(self, steps: int, bounded: bool = False) -> PlannedDish:
        """The same with its decay, if it has one or work is `bounded`, over a run of `steps`."""
        return self._with(decay_over=steps) if self.plan.decay_over or bounded else self

    def search(self, steps: int, bounded: bool = False) -> Search | None:
        """Rate, decay, dropout and moves; the schedule falls to 0 over `steps` in all trials."""
        if not (in_memory(self.splits.train) and in_memory(self.splits.val)):
            return None

        def adopt(params: Params) -> Dish:
            plan = tuned_plan(self.plan, params).replace(decay_over=steps)
            return dataclasses.replace(self, plan=plan, biased=True)

        space = cooked_space(self.plan, self.splits, rate_only=bounded)
        return Search(space, PlannedTasks(self.splits, self.plan, steps), adopt)

    def to_json(self) -> dict[str, Any]:
        """The plan."""
        return {"plan": dataclasses.asdict(self.plan), "biased": self.biased}

    def rungs(self, steps: int, bounded: bool = False) -> tuple[Rung, ...]:
        """Augmentation first, as more data is the best regulariser; then D9, D10, C4."""

        def rung(name: str, item: str, **changes: object) -> Rung:
            return Rung(name, item, lambda dish: dish._with(**changes))  # type: ignore[attr-defined]

        shape = input_shape(self.splits)
        pictures: tuple[Rung, ...] = ()
        if len(shape) == 3:
            pixels = max(1, min(shape[:2]) // 10)
            pictures = (
                rung(f"move by up to {pixels} px", "D2", translate=pixels),
                rung("mirror left-right", "D2", flip=True),
            )
        if bounded:
            quicker = []
            if self.plan.network == "convnet" and not self.plan.norm:
                quicker.append(rung("BatchNorm", "I", norm=True))
            rate = 10 * self.plan.learning_rate  # with BatchNorm, more than the skeleton bore
            quicker.append(rung(f"learning rate {rate:.2g}", "B11", learning_rate=rate))
            return (*quicker, *pictures)
        return (
            *pictures,
            rung("dropout 0.3", "D9", dropout=0.3),
            rung("weight decay 0.03", "D10", weight_decay=0.03),
            rung("learning rate falls to 0 over the run", "C4", decay_over=steps),
        )


YOURS = "your augmentation"


@dataclasses.dataclass(frozen=True)
class TaskDish:
    """A dish made from a user's own task.

    Attributes:
      given: the task as the user wrote it.
      copies: how many copies of the network stand side by side.
      biased: whether the final bias comes from the targets.
      added: name of the augmentation that is back, or was added; empty for none.
      rate: by which the user's updates are multiplied.
    """

    given: Task
    copies: int = 1
    biased: bool = False
    added: str = ""
    rate: float = 1.0

    @functools.cached_property
    def task(self) -> Task:
        """The task as it is now."""
        task = self.given.replace(augment=self._augments().get(self.added))
        if self.copies > 1:
            task = task.replace(model=copies(self.given.model, self.copies))
        if self.rate != 1.0:
            task = _with_rate(task, self.rate)
        return init_well(task) if self.biased else task

    @property
    def size(self) -> str:
        """How many copies of the network."""
        return "the network" if self.copies == 1 else f"{self.copies} copies of the network"

    def bigger(self) -> TaskDish | None:
        """The same with twice as many copies; None for a trainer of the user's own."""
        if self.given.trainer is not None or self.given.model is None:
            return None
        # No bias of one copy moves the sum over sqrt(2) by what is added to it.
        return dataclasses.replace(self, copies=2 * self.copies, biased=False)

    def lighter(self) -> TaskDish | None:
        """None: the user's network is the user's."""
        return None

    def well(self) -> TaskDish:
        """The same with its final bias from the targets, if there is one to set."""
        biased = dataclasses.replace(self, biased=True)
        try:
            _ = biased.task
        except TaskError:
            return self
        return biased

    def faster(self, factor: float) -> TaskDish:
        """The user's learning rate is the user's: the same."""
        return self

    def train(self, seeds: Sequence[int], steps: int, looks: int = 10) -> SeedRuns:
        """Trains the task from several seeds."""
        return fit_seeds(self.task, steps, seeds, looks)

    def stretched(self, steps: int, bounded: bool = False) -> TaskDish:
        """The user's schedule is the user's: the same."""
        return self

    def search(self, steps: int, bounded: bool = False) -> Search | None:
        """A factor on the user's learning rate, whatever the optimiser is."""
        if not runs_as_arms(self.task) or not in_memory(self.task.val):
            return None
        task = self.task

        def adopt(params: Params) -> Dish:
            return dataclasses.replace(self, rate=self.rate * float(params["rate"]))

        space = Space({"rate": LogUniform(0.1, 10.0)})
        return Search(space, lambda params: _with_rate(task, params["rate"]), adopt)

    def to_json(self) -> dict[str, Any]:
        """What was done to the user's task."""
        names = ("copies", "biased", "added", "rate")
        return {name: getattr(self, name) for name in names}

    def rungs(self, steps: int, bounded: bool = False) -> tuple[Rung, ...]:
        """The user's own augmentation or, for pictures without one, moving them."""
        if self.given.trainer is not None:
            return ()

        def rung(name: str) -> Rung:
            return Rung(name, "D2", lambda dish: dataclasses.replace(dish, added=name))  # type: ignore[type-var]

        return tuple(rung(name) for name in self._augments())

    def _augments(self) -> dict[str, Augment]:
        """Returns what may be added, by name."""
        if self.given.augment is not None:
            return {YOURS: self.given.augment}
        inputs = read(self.given.train, 1)[0]
        if np.ndim(inputs) != 4 or not np.issubdtype(np.asarray(inputs).dtype, np.floating):
            return {}
        pixels = max(1, min(inputs.shape[1:3]) // 10)
        return {f"move by up to {pixels} px": augment.random_translate(pixels)}


def _with_rate(task: Task, rate: Any) -> Task:
    """Returns the task with its updates multiplied, which is another learning rate."""
    return task.replace(optimizer=optax.chain(task.optimizer, optax.scale(rate)))


def dish_of(what: Task | Splits) -> Dish:
    """Returns the dish for a task or a data set."""
    if isinstance(what, Task):
        return TaskDish(what)
    return PlannedDish(what, suggest_plan(what))


def dish_from_json(what: Task | Splits, stored: Mapping[str, Any]) -> Dish:
    """Returns the dish that `Dish.to_json` described, of the same task or data set.

    Raises:
      TaskError: if it was written by another version.
    """
    try:
        if isinstance(what, Task):
            return TaskDish(what, **stored)
        return PlannedDish(what, plan_from_json(stored["plan"]), bool(stored["biased"]))
    except (KeyError, TypeError) as error:
        raise TaskError(f"The stored network is of another version ({error}).") from error
