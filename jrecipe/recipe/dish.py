"""What `cook` works on: a task that can grow, and be changed in one thing at a time.

A dish made from a data set changes its plan; a dish made from a user's task keeps everything that
is the user's and only adds copies of the network or an augmentation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from jrecipe import augment
from jrecipe.data.source import in_memory
from jrecipe.data.splits import Splits
from jrecipe.models.copies import copies
from jrecipe.recipe.plan import (
    Plan,
    build_task,
    input_shape,
    knobs_of,
    suggest_plan,
    turn_knobs,
)
from jrecipe.task import Task, read
from jrecipe.train.init_well import init_well
from jrecipe.train.seeds import Arms, SeedRuns, fit_seeds
from jrecipe.types import TaskError

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


@dataclasses.dataclass(frozen=True)
class TaskDish:
    """A dish made from a user's own task.

    Attributes:
      given: the task as the user wrote it.
      task: the task as it is now, simplified at first.
      copies: how many copies of the network stand side by side.
    """

    given: Task
    task: Task
    copies: int = 1

    @classmethod
    def of(cls, task: Task) -> TaskDish:
        """Takes the user's augmentation out; it comes back as a rung."""
        return cls(task, task.replace(augment=None))

    @property
    def size(self) -> str:
        """How many copies of the network."""
        return "the network" if self.copies == 1 else f"{self.copies} copies of the network"

    def bigger(self) -> TaskDish | None:
        """The same with twice as many copies; None for a trainer of the user's own."""
        if self.task.trainer is not None or self.task.model is None:
            return None
        model = copies(self.given.model, 2 * self.copies)
        return TaskDish(self.given, self.task.replace(model=model), 2 * self.copies)

    def lighter(self) -> TaskDish | None:
        """None: the user's network is the user's."""
        return None

    def well(self) -> TaskDish:
        """The same with its final bias from the targets, if there is one to set."""
        try:
            return dataclasses.replace(self, task=init_well(self.task))
        except TaskError:
            return self

    def faster(self, factor: float) -> TaskDish:
        """The user's learning rate is the user's: the same."""
        return self

    def train(self, seeds: Sequence[int], steps: int, looks: int = 10) -> SeedRuns:
        """Trains the task from several seeds."""
        return fit_seeds(self.task, steps, seeds, looks)

    def stretched(self, steps: int, bounded: bool = False) -> TaskDish:
        """The user's schedule is the user's: the same."""
        return self

    def rungs(self, steps: int, bounded: bool = False) -> tuple[Rung, ...]:
        """The user's own augmentation or, for pictures without one, moving them."""
        if self.task.trainer is not None:
            return ()

        def rung(name: str, item: str, change: Callable[[Task], Task]) -> Rung:
            def apply(dish: Dish) -> Dish:
                assert isinstance(dish, TaskDish)
                return dataclasses.replace(dish, task=change(dish.task))

            return Rung(name, item, apply)

        found = []
        if self.given.augment is not None:
            given = self.given.augment
            found.append(rung("your augmentation", "D2", lambda task: task.replace(augment=given)))
        else:
            inputs = read(self.given.train, 1)[0]
            if np.ndim(inputs) == 4 and np.issubdtype(np.asarray(inputs).dtype, np.floating):
                pixels = max(1, min(inputs.shape[1:3]) // 10)
                move = augment.random_translate(pixels)
                found.append(
                    rung(
                        f"move by up to {pixels} px", "D2", lambda task: task.replace(augment=move)
                    )
                )
        return tuple(found)


def dish_of(what: Task | Splits) -> Dish:
    """Returns the dish for a task or a data set."""
    if isinstance(what, Task):
        return TaskDish.of(what)
    return PlannedDish(what, suggest_plan(what))
