"""How long the stages of `cook` train: by the size of the data, and by what an update computes.

Work is counted in floating-point operations and not in seconds, so that a run does not depend on
what else the machine does: the same task gives the same numbers again, and resumes. Where somebody
asks for minutes, it is counted in seconds that an update was seen to take.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import numpy as np

from jrecipe.data.order import batch_rows
from jrecipe.data.source import in_memory
from jrecipe.recipe.deadline import Deadline
from jrecipe.recipe.dish import Dish
from jrecipe.task import Task
from jrecipe.train.clock import Clock
from jrecipe.train.loop import fit
from jrecipe.train.reference import optimizer_of
from jrecipe.train.seeds import Arms, runs_as_arms
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
SQUEEZE = 0.5  # beside that work, as a share of it, for an ensemble and what learns from it
MEMBERS = 3  # of an ensemble, where nobody gave more time
MEMBERS_AT_MOST = 10
TRIALS_OF_SEARCH = 16  # where nobody gave more time
TRIALS_AT_MOST = 64
TRIALS_AT_LEAST = 8  # or there is no search
SCORED = 0.3  # of the work of training, that evaluations may take
HALVED = 0.28  # of a run to its end, that a trial takes where trials are halved
JUDGED = 10  # runs in which a search ends: what was before and the best, over five seeds
_FIRST = 0.5  # of the time that is left, for the stages up to the search and for the final run
_SHORTEST = (20, 100)  # updates of a rung and of the final run, however short the time is
_COMPILED = 4  # programs that are compiled on the way
_UPDATES = 10  # whose time is measured together
_TIMED = 0.5  # seconds for which that is repeated


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """How long the stages train.

    Attributes:
      rung: updates of each seed, for each size of the network and for each rung.
      final: updates of the final run.
      seeds: arms of each rung.
      bounded: whether more would be wanted than the work allows.
      most_looks: evaluations that a rung can afford; None for no bound.
    """

    rung: int
    final: int
    seeds: tuple[int, ...] = (1, 2, 3)
    bounded: bool = False
    most_looks: int | None = None

    @property
    def looks(self) -> int:
        """Evaluations in a rung: where work is short, they would take more than training does."""
        looks = 2 if self.bounded else 10
        return looks if self.most_looks is None else min(looks, self.most_looks)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """What an update takes.

    Attributes:
      cost: of an update, in the unit of the work: operations, or seconds; 0 if unknown.
      work: that the stages up to the search, and the final run, may do.
      compiling: seconds that a program takes to compile; 0 where operations are counted.
    """

    cost: float
    work: float
    compiling: float = 0.0


def effort(epoch: int, flops: float, work: float, shortest: tuple[int, int] = (100, 600)) -> Effort:
    """Returns 25 epochs for a rung and 100 for the final run, within limits.

    The final run has 600 updates or more and, of large data, 10 epochs instead of 4,000 updates. It
    gets half of the work, the runs that decide what it is the other half; if that is less than
    wanted, it gets most of it, and fewer runs decide.

    Args:
      epoch: updates in an epoch.
      flops: floating-point operations of an update; 0 if unknown, for no bound.
      work: floating-point operations of all.
      shortest: updates of a rung and of the final run.
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
    low, lowest = shortest
    return Effort(rung=within(each, low, rung), final=within(most, lowest, final), bounded=True)


def pace_of(task: Task, deadline: Deadline | None = None) -> Pace:
    """Returns what an update takes, counted, or measured by some updates where time is given."""
    if deadline is None or deadline.minutes is None:
        work = CPU_WORK if jax.default_backend() == "cpu" else DEVICE_WORK
        return Pace(cost=update_flops(task), work=work)
    cost, compiling = _timed(task)
    work = max(_FIRST * deadline.left - _COMPILED * compiling, 0.0)
    return Pace(cost=cost, work=work, compiling=compiling)


def _timed(task: Task) -> tuple[float, float]:
    """Returns the seconds that an update takes, without what comes with any run, and of compiling.

    Data in memory is trained on as in a rung; a large validation split, which is scored but a few
    times, does not count then.
    """
    if not runs_as_arms(task) or not in_memory(task.val):
        seen = fit(task, _UPDATES, eval_every=_UPDATES, progress=False)
        return max(seen.seconds - seen.compile_seconds, 1e-6) / _UPDATES, seen.compile_seconds
    arms = Arms(task)
    states = arms.start((0,))
    rows = batch_rows(len(task.train), task.batch_size, 0, 0, _UPDATES)[None]
    with Clock() as first:
        states, _ = arms.advance(states, rows)
    with Clock() as clock:
        calls = 0
        while clock.seconds < _TIMED:
            states, _ = arms.advance(states, rows)
            calls += 1
    cost = clock.seconds / (calls * _UPDATES)
    return cost, max(first.seconds - cost * _UPDATES, 0.0)


def effort_of(task: Task, deadline: Deadline | None = None) -> Effort:
    """Returns the effort for a task on this kind of device, or until a deadline."""
    pace = pace_of(task, deadline)
    epoch = math.ceil(len(task.train) / task.batch_size)
    counted = deadline is None or deadline.minutes is None
    shortest = {} if counted else {"shortest": _SHORTEST}
    found = effort(epoch, pace.cost, pace.work, **shortest)
    return dataclasses.replace(found, most_looks=looks_within(task, found.rung, 10))


def rows_scored(task: Task, steps: int) -> float:
    """Returns how many examples a run may score while its evaluations take a third of its work.

    An example that is scored takes about a third of the work of one that is trained on.
    """
    return 3 * SCORED * steps * task.batch_size


def looks_within(task: Task, steps: int, most: int) -> int:
    """Returns how many evaluations of the validation split a run can afford, 1 to `most`."""
    return int(np.clip(rows_scored(task, steps) / len(task.val), 1, most))


def trials_within(pace: Pace, effort: Effort, left: float = math.inf) -> int:
    """Returns how many trials a search has, 0 if there is no time for one.

    Args:
      pace: of the network.
      effort: whose rungs are as long as a trial.
      left: seconds for the search; infinite where nobody counts.
    """
    if math.isinf(left):
        return TRIALS_OF_SEARCH
    run = pace.cost * effort.rung
    judging = JUDGED * run
    count = int((left - judging - 2 * pace.compiling) / (HALVED * run))
    return 0 if count < TRIALS_AT_LEAST else min(count, TRIALS_AT_MOST)


def finish(pace: Pace, wanted: int, left: float = math.inf) -> tuple[int, int]:
    """Returns the updates of the final run, and how many members an ensemble has; 1 is none.

    A student that learns from the ensemble takes as long as a member. Time is rather spent on
    a run that is long enough than on more members.

    Args:
      pace: of the network.
      wanted: updates of the final run if there is enough time.
      left: seconds; infinite where nobody counts.
    """
    if math.isinf(left):
        enough = MEMBERS * wanted * pace.cost <= SQUEEZE * pace.work
        return wanted, MEMBERS if enough else 1
    left = max(left - 2 * pace.compiling, 0.0)
    runs = int(left / (wanted * pace.cost))  # members and student
    if runs > MEMBERS:
        return wanted, min(runs - 1, MEMBERS_AT_MOST)
    steps = left / ((MEMBERS + 1) * pace.cost)
    if steps >= wanted / 2:
        return 10 * math.ceil(steps / 10), MEMBERS
    alone = min(max(0.9 * left / pace.cost, _SHORTEST[1]), wanted)
    return 10 * math.ceil(alone / 10), 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run ends.

    Attributes:
      final: updates of the final run.
      members: networks of the ensemble, 1 for none.
      bounded: whether more updates would be wanted than work or time allow.
    """

    final: int
    members: int
    bounded: bool


def ending_of(task: Task, deadline: Deadline, pace: Pace) -> Ending:
    """Returns how long the final run is, and how many networks are joined.

    Args:
      task: what is trained.
      deadline: of the run.
      pace: of the task; what a search changes in it, as a rate, takes no longer.
    """
    if deadline.minutes is None:
        chosen = effort_of(task)
        final, members = finish(pace, chosen.final)
        return Ending(final=final, members=members, bounded=chosen.bounded)
    wanted = effort(math.ceil(len(task.train) / task.batch_size), 0.0, 0.0).final
    final, members = finish(pace, wanted, deadline.left)
    return Ending(final=final, members=members, bounded=final < wanted)


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
