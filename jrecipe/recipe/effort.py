"""How long the stages of `cook` train: by the size of the data, and by what an update computes.

Work is counted in floating-point operations and not in seconds, so that a run does not depend on
what else the machine does: the same task gives the same numbers again, and resumes.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from jrecipe.recipe.dish import Dish
from jrecipe.task import Task
from jrecipe.train.reference import optimizer_of
from jrecipe.train.state import create_state
from jrecipe.train.step import make_loss_fn, make_train_step
from jrecipe.types import Batch

CPU_WORK = 1.4e13  # operations of all stages: five to twelve minutes of two cores
TRIALS = 0.5  # share of the work that decides what the final run is
TRIALS_BOUNDED = 0.3  # the same where work is short: few trials, as a short one can show little
DEVICE_WORK = 100 * CPU_WORK  # of an accelerator
EPOCHS = 5  # that a network should see the data in the final run, or a smaller one is taken
PROGRAMS = 6  # that are trained from several seeds: the network, and about five rungs
PROGRAMS_BOUNDED = 5  # the network, BatchNorm, a higher rate, and two ways to move pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long the stages train.

    Attributes:
      rung: updates of each seed, for each size of the network and for each rung.
      final: updates of the final run.
      seeds: arms of each rung.
      bounded: whether more would be wanted than the work allows.
    """

    rung: int
    final: int
    seeds: tuple[int, ...] = (1, 2, 3)
    bounded: bool = False

    @property
    def looks(self) -> int:
        """Evaluations in a rung: where work is short, they would take more than training does."""
        return 2 if self.bounded else 10


def effort(epoch: int, flops: float, work: float) -> Effort:
    """Returns 25 epochs for a rung and 100 for the final run, within limits.

    The final run has 600 updates or more and, of large data, 10 epochs instead of 4,000 updates. It
    gets half of the work, the runs that decide what it is the other half; if that is less than
    wanted, it gets most of it, and fewer runs decide.

    Args:
      epoch: updates in an epoch.
      flops: floating-point operations of an update; 0 if unknown, for no bound.
      work: floating-point operations of all.
    """

    def within(wanted: float, low: float, high: float) -> int:
        return 10 * math.ceil(min(max(wanted, low), high) / 10)

    rung, final = within(25 * epoch, 300, 1500), within(100 * epoch, 600, max(4000, 10 * epoch))
    if not flops:
        return Effort(rung=rung, final=final)
    each = work * TRIALS / flops / (PROGRAMS * len(Effort.seeds))
    if each >= rung and work * (1 - TRIALS) / flops >= final:
        return Effort(rung=rung, final=final)
    each = work * TRIALS_BOUNDED / flops / (PROGRAMS_BOUNDED * len(Effort.seeds))
    most = work * (1 - TRIALS_BOUNDED) / flops
    return Effort(rung=within(each, 100, rung), final=within(most, 600, final), bounded=True)


def effort_of(task: Task) -> Effort:
    """Returns the effort for a task on this kind of device."""
    work = CPU_WORK if jax.default_backend() == "cpu" else DEVICE_WORK
    return effort(math.ceil(len(task.train) / task.batch_size), update_flops(task), work)


def lightened(dish: Dish) -> tuple[Dish, tuple[str, ...]]:
    """Returns the dish, smaller if its final run would see the data less than 5 times.

    A small network that is trained beats a large one that is not. What was done is the second
    value: no sentence, or one.
    """
    first = dish
    while (lighter := dish.lighter()) is not None and _epochs(dish.task) < EPOCHS:
        dish = lighter
    if dish is first:
        return dish, ()
    said = (
        f"The network begins as {dish.size}, not as {first.size}: the work of a run on this device "
        f"trains it for {_epochs(dish.task):.1f} epochs, the larger one for "
        f"{_epochs(first.task):.1f}."
    )
    return dish, (said,)


def _epochs(task: Task) -> float:
    return effort_of(task).final * task.batch_size / len(task.train)


def update_flops(task: Task) -> float:
    """Returns the floating-point operations of an update, as XLA counts them; 0 if unknown.

    Nothing is run or compiled. A trainer of the task's own is unknown.
    """
    if task.model is None or task.trainer is not None:
        return 0.0
    inputs, targets = task.train.take(np.arange(1))
    x, y = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((task.batch_size, *np.shape(x)[1:]), np.asarray(x).dtype),
        (inputs, targets),
    )
    batch = Batch(x, y, jax.ShapeDtypeStruct((task.batch_size,), np.float32))
    tx = optimizer_of(task)
    loss_fn = make_loss_fn(task.model, task.loss, task.augment)
    state = jax.eval_shape(lambda x: create_state(task.model, tx, x, jax.random.key(0)), inputs)
    cost = jax.jit(make_train_step(loss_fn, tx)).lower(state, batch).cost_analysis()
    return float((cost or {}).get("flops", 0.0))
