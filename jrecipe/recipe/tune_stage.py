"""The search of `cook`: a population around what was kept, and whether its best is better (E)."""

from __future__ import annotations

import dataclasses

from jrecipe.checks import Finding, Verdict
from jrecipe.data.source import ArraySource
from jrecipe.figures import Bars, Table
from jrecipe.recipe.dish import Dish
from jrecipe.recipe.effort import Effort, rows_scored
from jrecipe.recipe.stages import keeps
from jrecipe.report import Section
from jrecipe.task import Task, spread
from jrecipe.train.seeds import SeedRuns
from jrecipe.tune import Halving, Space, Trial, population, sobol, tuning_report
from jrecipe.tune.members import MakeTask

_FRESH = 2**20  # the first of the seeds that judge, which no stage before had
_JUDGES = 5  # of these seeds: three would miss most gains that a search brings
_LOOKS = 9
_FEWEST = 256  # validation examples by which trials are compared


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuned:
    """What a search brought.

    Attributes:
      dish: with the values that were adopted, or as it was.
      before: runs of the dish as it was, from seeds that no stage before had; None if nothing was
        searched.
      runs: of the best from the same seeds, likewise.
      finding: for item E.
      section: the story.
    """

    dish: Dish
    before: SeedRuns | None
    runs: SeedRuns | None
    finding: Finding
    section: Section


def tune(dish: Dish, effort: Effort, trials: int, seed: int) -> Tuned:
    """Searches the numbers of a dish, and adopts the best if it is surely better (E).

    All trials of a search are one compiled program, and two thirds of them end early. As the lowest
    of many is low partly by luck, it and the dish as it was are trained again from fresh seeds;
    what was found is adopted only if its gain exceeds the noise over these.

    Args:
      dish: what was kept so far.
      effort: how long a trial is.
      trials: how many; 0 searches nothing.
      seed: of the points, and of each trial.
    """
    search = dish.search(effort.rung, effort.bounded)
    if search is None:
        why = "A search needs jrecipe's own step in one phase, on arrays in memory"
        return untuned(dish, f"{why}; search by jr.tune.study, or `jrecipe tune`.")
    if not trials:
        return untuned(dish, "There is no time for a search; give more --minutes.")
    points = sobol(search.space, trials, seed)
    tried = population(
        scored_on_few(search.make_task, dish.task, effort.rung),
        points,
        steps=effort.rung,
        seeds=seed,
        looks=_LOOKS,
        halving=Halving(),
    )
    ended = sorted((t for t in tried if t.state == "done"), key=lambda trial: trial.value)
    if not ended:
        return untuned(dish, f"All {trials} trials blew up; the values stay as they were.")
    best = ended[0]
    seeds = tuple(range(_FRESH, _FRESH + _JUDGES))
    before = dish.train(seeds, effort.rung, effort.looks)
    changed = search.adopt(best.params)
    runs = changed.train(seeds, effort.rung, effort.looks)
    better, gain, half = keeps(before, runs)
    finding = _judged(better, gain, half, best, runs, before)
    section = _story(tried, search.space, dish, best, before, runs)
    kept = changed if better else dish
    return Tuned(dish=kept, before=before, runs=runs, finding=finding, section=section)


def scored_on_few(make_task: MakeTask, task: Task, steps: int) -> MakeTask:
    """Returns `make_task` with as much of the validation split as trials of `steps` can afford."""
    count = max(int(rows_scored(task, steps) / _LOOKS), _FEWEST)
    if count >= len(task.val):
        return make_task
    part = ArraySource(*task.val.take(spread(len(task.val), count)))
    return lambda params: make_task(params).replace(val=part)


def untuned(dish: Dish, why: str) -> Tuned:
    """Returns the dish as it was, and why nothing was searched."""
    finding = Finding(item="E", check="tuned-best", verdict=Verdict.SKIPPED, finding=why)
    return Tuned(
        dish=dish,
        before=None,
        runs=None,
        finding=finding,
        section=Section(title="Tune", text=(why,)),
    )


def _judged(
    better: bool, gain: float, half: float, best: Trial, runs: SeedRuns, before: SeedRuns
) -> Finding:
    k = len(runs.seeds)
    said = (
        f"{_name(best).capitalize()} has a validation loss of {runs.best.mean():.4g} over {k} "
        f"fresh seeds, where it was {before.best.mean():.4g} before: a gain of {gain:.3g} +- "
        f"{half:.3g} (one-sided 95 %), so its values are "
    )
    said += "adopted." if better else "not surely better, and those before are kept."
    return Finding(
        item="E",
        check="tuned-best",
        verdict=Verdict.PASSED,
        evidence={
            "mean": float(runs.best.mean()),
            "before": float(before.best.mean()),
            "gain": gain,
            "half-width": half,
            "in the search": best.value,
            "adopted": better,
        },
        finding=said,
    )


def _story(
    trials: list[Trial], space: Space, dish: Dish, best: Trial, before: SeedRuns, after: SeedRuns
) -> Section:
    """Returns the chapter of a search: that of `jrecipe tune`, in one."""
    told = {part.title: part for part in tuning_report(trials, space, task=dish.task.name).sections}
    runs = {"as it was": before, _name(best): after}
    values = ", ".join(f"{key} {value:.3g}" for key, value in best.params.items())
    rows = [
        (
            name,
            f"{run.best.mean():.4f} +- {run.best.std(ddof=1):.4f}",
            "" if run is before else values,
        )
        for name, run in runs.items()
    ]
    bars = Bars(
        title="From fresh seeds: mean and range",
        values={name: float(run.best.mean()) for name, run in runs.items()},
        intervals={
            name: (float(run.best.min()), float(run.best.max())) for name, run in runs.items()
        },
        xlabel="validation loss",
    )
    first = (
        f"{len(trials)} points of a Sobol sequence over {', '.join(space)} train as one program; "
        "after a ninth and a third of their updates one in three goes on. The best and the values "
        f"before are trained again from {_JUDGES} fresh seeds: the lowest of many is lucky."
    )
    return Section(
        title="Tune",
        text=(first, *told["Search"].text, *told["What mattered"].text),
        table=Table(title="From fresh seeds", columns=("values", "validation loss", ""), rows=rows),
        figures=(bars, *(figure for section in told.values() for figure in section.figures)),
    )


def _name(trial: Trial) -> str:
    return f"trial {trial.number}"
