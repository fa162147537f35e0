"""The search of `jrecipe tune`, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from jrecipe.cli.tuned import Tuned
from jrecipe.recipe.checked import facts
from jrecipe.report import Report
from jrecipe.train import Clock
from jrecipe.tune import Halving, Rerun, TaskObjective, Trial, rerun, sobol, study, tuning_report
from jrecipe.tune.population import By, population
from jrecipe.tune.rerun import lowest
from jrecipe.tune.trials import TrialFile, best_of, no_success
from jrecipe.types import TaskError

_LOOKS = 9
_CHOSEN = 2  # trials that are trained from fresh seeds, beside the defaults
_FRESH = 2**20  # the first of those seeds, beyond those of any search


class Job:
    """A search, and its trials as they end.

    Args:
      tuned: what is searched.
      trials: how many, those that are known counted.
      steps: updates of each.
      seeds: how many fresh seeds the best are trained from.
      seed: of the search.
      by: what counts.
      stopping: whether trials are stopped early.
      folder: for `trials.jsonl`.
      resume: whether it may hold trials.
      say: told what is done now.
      clock: of the whole run.
    """

    def __init__(
        self,
        tuned: Tuned,
        *,
        trials: int,
        steps: int,
        seeds: int,
        seed: int,
        by: By,
        stopping: bool,
        folder: Path,
        resume: bool,
        say: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.tuned, self.trials, self.steps, self.seeds = tuned, trials, steps, seeds
        self.seed, self.by, self.stopping, self.say = seed, by, stopping, say
        self.resume, self.clock = resume, clock
        self.file = TrialFile(folder / "trials.jsonl", resume)
        self.best: dict[str, str] = {}

    @property
    def ended(self) -> list[Trial]:
        """The trials that ended, those before a resume among them."""
        return self.file.trials

    def population(self) -> list[Trial]:
        """Trains points of a Sobol sequence as one program a group; what is known is left out."""
        known = {trial.number: trial for trial in self.ended}
        points = sobol(self.tuned.space, self.trials, self.seed)
        left = [number for number in range(self.trials) if number not in known]
        if left:
            self.say(f"Search {self.tuned.name}: {len(left)} trials of {self.steps} updates")
            population(
                self.tuned,
                [points[number] for number in left],
                steps=self.steps,
                seeds=[self.seed + number for number in left],
                looks=_LOOKS,
                by=self.by,
                halving=Halving() if self.stopping else None,
                tell=self._tell,
                numbers=left,
            )
        return self._all()

    def bayesian(self, workers: int, storage: str, join: bool) -> list[Trial]:
        """Searches by Optuna; what the storage knows is not done again.

        Args:
          workers: processes.
          storage: a file or URL.
          join: whether the study may be there already.
        """
        self.say(f"Search {self.tuned.name}: {self.trials} trials by Optuna, in {storage}")
        known = {trial.number for trial in self.ended}
        study(
            TaskObjective(self.tuned, self.steps, _LOOKS, self.by, self.seed),
            self.tuned.space,
            trials=self.trials,
            storage=storage,
            workers=workers,
            name=f"{self.tuned.name}, {self.steps} updates, {self.by}, seed {self.seed}",
            seed=self.seed,
            resume=join or self.resume,
            prune=self.stopping,
            tell=lambda trial: None if trial.number in known else self._tell(trial),
        )
        return self._all()

    def report(self, trials: list[Trial], command: str) -> Report:
        """Trains the best from fresh seeds, and tells the story."""
        done = sorted((t for t in trials if t.state == "done"), key=lambda t: t.value)
        if not done:
            raise TaskError(no_success(trials))
        chosen = {f"trial {trial.number}": trial.params for trial in done[:_CHOSEN]}
        if self.tuned.defaults is not None:
            chosen["defaults"] = self.tuned.defaults
        self.say(f"Train the best again from {self.seeds} fresh seeds")
        again = rerun(
            self.tuned,
            chosen,
            steps=self.steps,
            seeds=range(_FRESH, _FRESH + self.seeds),
            by=self.by,
        )
        winner = lowest([one for one in again if one.name != "defaults"])
        best = {
            "params": winner.params,
            "seeds": [*winner.seeds],
            "values": winner.values.tolist(),
            "metric": winner.metric.tolist(),
        }
        self.best = {"best.json": json.dumps(best, indent=2) + "\n"}
        return self._report(trials, command, again)

    def kept(self) -> str:
        """Says what is kept of a search that ended early."""
        done = sum(trial.state == "done" for trial in self.ended)
        best = f", the best {best_of(self.ended).value:.4g}" if done else ""
        return f"{len(self.ended)} of {self.trials} trials are kept in {self.file.path}{best}"

    def _report(self, trials: list[Trial], command: str, again: list[Rerun]) -> Report:
        task = self.tuned(best_of(trials).params)
        return tuning_report(
            trials,
            self.tuned.space,
            task=self.tuned.name,
            what="validation loss" if self.by == "loss" else "minus the validation metric",
            reruns=again,
            facts=facts(task, self.seed, self.clock, command),
        )

    def _tell(self, trial: Trial) -> None:
        self.file.add(trial)
        if len(self.ended) % 8 == 0:
            self.say(f"{len(self.ended)} of {self.trials} trials ended")

    def _all(self) -> list[Trial]:
        return sorted(self.ended, key=lambda trial: trial.number)
