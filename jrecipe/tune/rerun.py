"""The best once more, from fresh seeds: a mean with an interval, not the lucky maximum (E)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from jrecipe.tune.members import MakeTask
from jrecipe.tune.population import By, population
from jrecipe.tune.space import Params
from jrecipe.types import TaskError

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean over seeds.

    Attributes:
      mean: of the values.
      low: lower end of its 95 % interval by Student's t; -inf for one value.
      high: upper end.
    """

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rerun:
    """One set of values, trained from several seeds.

    Attributes:
      name: of the values, as "trial 12" or "defaults".
      params: the values.
      seeds: which.
      values: float64[k], what was minimised, of each seed; NaN where training failed.
      metric: float64[k], the task's metric.
    """

    name: str
    params: Params
    seeds: tuple[int, ...]
    values: np.ndarray
    metric: np.ndarray

    @property
    def value(self) -> Interval:
        """Mean of the values with its interval over seeds."""
        return interval(self.values)


def rerun(
    make_task: MakeTask,
    chosen: dict[str, Params],
    *,
    steps: int,
    seeds: Sequence[int] = (1001, 1002, 1003, 1004, 1005),
    by: By = "loss",
    groups: Sequence[str] = (),
    devices: int | None = None,
) -> list[Rerun]:
    """Trains some sets of values again, each from the same fresh seeds.

    The lowest value of many trials is low partly by luck, of its seed above all. Seeds that had no
    part in the choice take that luck away. The validation examples are the same, so what the choice
    owes to them stays in; only a test split is free of it.

    Args:
      make_task: see `population`.
      chosen: name -> values.
      steps: updates, as many as in the search.
      seeds: at least two, none of which the search had.
      by: see `population`.
      groups: see `population`.
      devices: see `population`.

    Returns:
      What each reached, in order.

    Raises:
      TaskError: if nothing is chosen, or there are fewer than two seeds.
    """
    given = tuple(seeds)
    if not chosen or len(set(given)) < 2:
        raise TaskError(
            f"rerun needs something chosen and two seeds or more that differ, got {[*chosen]} and "
            f"seeds={given}."
        )
    trials = population(
        make_task,
        [params for params in chosen.values() for _ in given],
        steps=steps,
        seeds=[seed for _ in chosen for seed in given],
        looks=1,
        by=by,
        groups=groups,
        devices=devices,
    )
    found = []
    for place, (name, params) in enumerate(chosen.items()):
        own = trials[place * len(given) : (place + 1) * len(given)]
        found.append(
            Rerun(
                name=name,
                params=params,
                seeds=given,
                values=np.array([trial.value for trial in own]),
                metric=np.array([trial.numbers["metric"] for trial in own]),
            )
        )
    return found


def interval(values: np.ndarray) -> Interval:
    """Returns the mean of float[k] with its 95 % interval by Student's t.

    Example:
      >>> interval(np.array([1.0, 2.0, 3.0])).mean
      2.0
    """
    from scipy import stats

    mean = float(values.mean())
    if len(values) < 2 or not math.isfinite(mean):
        return Interval(mean, -math.inf, math.inf)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1))
    half *= float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def gain(base: Rerun, best: Rerun) -> Interval:
    """Returns by how much `best` is below `base`, over pairs of the same seed."""
    return interval(base.values - best.values)


def lowest(reruns: Sequence[Rerun]) -> Rerun:
    """Returns the rerun with the lowest mean; one that failed from some seed comes last."""
    rank: Callable[[Rerun], float] = lambda one: (  # noqa: E731
        one.value.mean if math.isfinite(one.value.mean) else math.inf
    )
    return min(reruns, key=rank)
