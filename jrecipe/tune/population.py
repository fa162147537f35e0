"""Many trainings at once: a population as one vmapped, jitted program, halved as it goes (E)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from jrecipe.data.source import in_memory
from jrecipe.task import Task
from jrecipe.train.seeds import runs_as_arms
from jrecipe.tune.members import Look, MakeTask, Members
from jrecipe.tune.space import Params
from jrecipe.tune.trials import Trial
from jrecipe.types import TaskError

By = Literal["loss", "metric"]


@dataclasses.dataclass(frozen=True)
class Halving:
    """Successive halving: only the best go on, so that a bad set of values costs little.

    After shares of the run, `1 / factor^rungs`, ..., `1 / factor`, one in `factor` goes on. What
    is slow at first and good in the end is lost, as a rate that falls late, or strong dropout.

    Attributes:
      factor: how many members make room for one, >= 2.
      rungs: how often they are cut down.

    References:
      Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter
      Optimization", 2016, arXiv:1502.07943.
    """

    factor: int = 3
    rungs: int = 2

    def __post_init__(self) -> None:
        for name, least in (("factor", 2), ("rungs", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise TaskError(f"Halving needs {name} >= {least}, got {value!r}.")

    def cuts(self, looks: int) -> dict[int, int]:
        """Returns number of a look -> by how much the members are cut down after it."""
        cuts: dict[int, int] = {}
        for rung in range(self.rungs, 0, -1):
            look = max(1, round(looks / self.factor**rung))
            if look < looks:
                cuts[look] = cuts.get(look, 1) * self.factor
        return cuts


def population(
    make_task: MakeTask,
    points: Sequence[Params],
    *,
    steps: int,
    seeds: int | Sequence[int] = 0,
    looks: int = 9,
    by: By = "loss",
    halving: Halving | None = None,
    groups: Sequence[str] = (),
    devices: int | None = None,
    tell: Callable[[Trial], None] = lambda trial: None,
    numbers: Sequence[int] | None = None,
) -> list[Trial]:
    """Trains a network for each point, all of a group in one vmapped, jitted program.

    Numbers of a point (floats) are traced: rate, decay, dropout rate, label smoothing, strength of
    an augmentation. What decides a shape makes groups, each with a program: whole numbers, texts,
    bools, and what `groups` names. Seeds are traced as well, and members are shared by the devices.

    Args:
      make_task: `(params) -> jr.Task`. It is called inside a compiled program, where the floats of
        `params` are traced: compute with `jax.numpy`, and give dropout and smoothing to layers and
        losses that take traced numbers, as those of jrecipe do. All tasks of a group have the same
        data, shapes and metric.
      points: what to try, as `jr.tune.random` and `jr.tune.sobol` draw them.
      steps: updates of each member, rounded up to a multiple of `looks`.
      seeds: of each member: a list, or the first of consecutive ones.
      looks: how often all members are evaluated on the validation split.
      by: what is minimised: "loss" (without label smoothing), or "metric", with its sign turned.
      halving: None trains every member to the end. Groups are halved each for itself.
      groups: names of numbers that decide a shape, or that `make_task` needs as Python numbers.
      devices: how many of `jax.devices()`; None for all.
      tell: called with each trial when it ends.
      numbers: of the trials; default 0, 1, ...

    Returns:
      A trial a point, in the order of the points. Its value is that of the end, not the best on the
      way, which would be a little lucky.

    Raises:
      TaskError: if tasks cannot be trained in one program, or an argument is out of range.
      KeyboardInterrupt: if Ctrl-C was pressed; ended trials have been told.

    Example:
      >>> import numpy as np, optax, jrecipe as jr
      >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
      >>> def make_task(params):
      ...     return jr.Task(model=jr.models.Linear(2), loss=jr.losses.softmax_cross_entropy(),
      ...                    train=(x, x[:, 0] > 0), val=(x, x[:, 0] > 0), batch_size=32,
      ...                    optimizer=optax.adam(params["rate"]))
      >>> space = jr.tune.Space({"rate": jr.tune.LogUniform(1e-5, 1e-1)})
      >>> trials = jr.tune.population(make_task, jr.tune.sobol(space, 8), steps=30, looks=3)
      >>> jr.tune.best_of(trials).params["rate"] > 1e-3
      True
    """
    _require(points, steps, looks, by)
    seed_of = _seeds(seeds, len(points))
    number_of = range(len(points)) if numbers is None else numbers
    there = jax.devices() if devices is None else jax.devices()[:devices]
    if devices is not None and not 1 <= devices <= len(jax.devices()):
        raise TaskError(
            f"population got devices={devices!r}, but JAX sees {len(jax.devices())}; on a CPU, "
            "jax.config.update('jax_num_cpu_devices', n) makes n, before JAX is first used."
        )
    found: dict[int, Trial] = {}
    for places in _grouped(points, groups):
        fixed, traced = parted(points[places[0]], groups)
        _require_task(make_task({**fixed, **traced}), by)
        members = Members(make_task, fixed, traced, there)
        knobs = {name: np.asarray([points[i][name] for i in places], np.float32) for name in traced}
        run = _run(members, knobs, [seed_of[i] for i in places], steps, looks, by, halving)
        for at, end in run:
            place = places[at]
            trial = Trial(number=number_of[place], params=points[place], seed=seed_of[place], **end)
            found[place] = trial
            tell(trial)
    return [found[place] for place in range(len(points))]


def _run(
    members: Members,
    knobs: Mapping[str, np.ndarray],
    seeds: Sequence[int],
    steps: int,
    looks: int,
    by: By,
    halving: Halving | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Trains a group; yields place and end of each member as it ends."""
    stretch = -(-steps // looks)
    cuts = {} if halving is None else halving.cuts(looks)
    now = members.start(seeds, knobs)
    curves: dict[int, list[tuple[int, float]]] = {i: [] for i in range(len(seeds))}
    left = len(seeds)
    for look in range(1, looks + 1):
        now, seen = members.stretch(now, (look - 1) * stretch, stretch)
        values = seen.loss if by == "loss" else -seen.metric
        last: dict[int, dict[str, Any]] = {}
        for row, place in enumerate(now.ids):
            if place >= 0:
                curves[place].append((look * stretch, float(values[row])))
                last[int(place)] = _end(curves[place], seen, row, look == looks)
        going = set(last)
        if look in cuts and left > cuts[look]:
            left = -(-left // cuts[look])
            now = members.survive(now, values, left)
            going = {int(place) for place in now.ids if place >= 0}
            left = len(going)
        for place in sorted(last):
            if look == looks or place not in going:
                yield place, last[place]


def _end(curve: list[tuple[int, float]], seen: Look, row: int, at_end: bool) -> dict[str, Any]:
    step, value = curve[-1]
    finite = math.isfinite(value)
    return {
        "value": value if finite else math.nan,
        "state": "failed" if not finite else "done" if at_end else "stopped",
        "steps": step,
        "curve": tuple(curve),
        "numbers": {"loss": float(seen.loss[row]), "metric": float(seen.metric[row])},
        "why": "" if finite else f"a value that is not finite, after {step} updates or before",
    }


def _grouped(points: Sequence[Params], groups: Sequence[str]) -> list[list[int]]:
    """Returns the places of the points of each group, in the order of their first ones."""
    found: dict[Any, list[int]] = {}
    for place, point in enumerate(points):
        fixed, traced = parted(point, groups)
        key = (tuple((name, type(v), v) for name, v in sorted(fixed.items())), tuple(traced))
        found.setdefault(key, []).append(place)
    return [*found.values()]


def parted(point: Params, groups: Sequence[str]) -> tuple[Params, Params]:
    """Returns what decides the program, and what is traced."""
    traced = {
        name: value
        for name, value in point.items()
        if isinstance(value, float) and name not in groups
    }
    return {name: value for name, value in point.items() if name not in traced}, traced


def _require_task(task: Task, by: By) -> None:
    if by == "metric" and task.metric is None:
        raise TaskError("population got by='metric', but the task has none; give Task.metric.")
    if not runs_as_arms(task) or not in_memory(task.val):
        raise TaskError(
            "population needs tasks with jrecipe's own step, in one phase, on arrays in memory; "
            "for a trainer of your own or streamed data use jr.tune.search or jr.tune.study."
        )


def _require(points: Sequence[Params], steps: int, looks: int, by: str) -> None:
    if not points:
        raise TaskError("population got no points; draw some, as jr.tune.sobol(space, 64).")
    for name, value in (("steps", steps), ("looks", looks)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise TaskError(f"population needs {name} >= 1, got {value!r}.")
    if by not in ("loss", "metric"):
        raise TaskError(f"population got by={by!r}; there are 'loss' and 'metric'.")


def _seeds(seeds: int | Sequence[int], count: int) -> list[int]:
    if isinstance(seeds, int):
        return [seeds + i for i in range(count)]
    if len(seeds) != count:
        raise TaskError(f"population got {len(seeds)} seeds for {count} points; give one for each.")
    return [int(seed) for seed in seeds]
