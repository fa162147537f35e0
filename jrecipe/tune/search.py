"""Random and quasi-random search of any objective, one trial after another (E)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from jrecipe.tune.attempt import HOPELESS, Objective, Report, attempt
from jrecipe.tune.designs import DESIGNS
from jrecipe.tune.space import Space
from jrecipe.tune.trials import Trial, TrialFile, no_success
from jrecipe.types import TaskError


def search(
    objective: Objective,
    space: Space,
    *,
    trials: int,
    design: Literal["sobol", "random"] = "sobol",
    seed: int = 0,
    out: str | Path | None = None,
    resume: bool = False,
    tell: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Tries points of a space one after another.

    Args:
      objective: `(params, report) -> value`, to be minimised, or `(value, {name: number})`;
        `report(step, value)` notes how it goes. What it raises makes a failed trial.
      space: what is searched.
      trials: how many, those that are known in `out` counted.
      design: "sobol" spreads the points evenly, "random" draws each by itself.
      seed: of the points.
      out: folder for `trials.jsonl`, where each trial is kept as it ends.
      resume: go on with the trials in `out`.
      tell: called with each trial when it ends.

    Raises:
      TaskError: if an argument is not understood, `out` holds another search, or the objective has
        only failed, at least five times; its trials are kept.
      KeyboardInterrupt: if Ctrl-C was pressed; ended trials are in `out`.
      OSError: if `out` cannot be written.

    Example:
      >>> import jrecipe as jr
      >>> space = jr.tune.Space({"x": jr.tune.Uniform(-1.0, 1.0)})
      >>> trials = jr.tune.search(lambda p, report: p["x"] ** 2, space, trials=32)
      >>> abs(jr.tune.best_of(trials).params["x"]) < 0.1
      True
    """
    if design not in DESIGNS:
        raise TaskError(f"search got design={design!r}; there are {', '.join(DESIGNS)}.")
    points = DESIGNS[design](space, trials, seed)
    file = None if out is None else TrialFile(Path(out) / "trials.jsonl", resume)
    done = {} if file is None else {trial.number: trial for trial in file.trials}
    for number, trial in done.items():
        if number < len(points) and trial.params != points[number]:
            raise TaskError(
                f"{out} holds trials of another space, design or seed: number {number} is "
                f"{trial.params}, not {points[number]}; name another folder."
            )
    for number, params in enumerate(points):
        if number in done:
            continue
        curve: list[tuple[int, float]] = []
        found = attempt(objective, params, _noting(curve))
        trial = Trial(
            number=number,
            params=params,
            value=found.value,
            state="failed" if found.why else "done",
            steps=curve[-1][0] if curve else 0,
            curve=tuple(curve),
            numbers=found.numbers,
            why=found.why,
        )
        done[number] = trial
        if file is not None:
            file.add(trial)
        tell(trial)
        known = [*done.values()]
        if len(known) >= min(HOPELESS, trials) and all(t.state == "failed" for t in known):
            kept = "" if file is None else f" They are kept in {file.path}."
            raise TaskError(no_success(known) + kept)
    return [done[number] for number in sorted(done)]


def _noting(curve: list[tuple[int, float]]) -> Report:
    def report(step: int, value: float) -> None:
        curve.append((int(step), float(value)))

    return report
