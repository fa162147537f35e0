"""What was tried: one record a trial, kept in a file as each ends (E)."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jrecipe.tune.space import Params
from jrecipe.types import TaskError

State = Literal["done", "stopped", "failed"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of values, and what it reached.

    Attributes:
      number: its place in the search, from 0.
      params: the values.
      value: what is minimised, at the end of the trial; NaN if it failed.
      state: "done", "stopped" early for others that were better, or "failed".
      steps: updates, or whatever the objective counts, until its end.
      seed: of its weights, order and draws.
      curve: (step, value) of each look at it.
      numbers: what else was measured at the end, as {"accuracy": 0.97}.
      why: of a failed one, what went wrong.
    """

    number: int
    params: Params
    value: float
    state: State = "done"
    steps: int = 0
    seed: int = 0
    curve: tuple[tuple[int, float], ...] = ()
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns plain numbers and texts; what is not finite becomes None."""
        plain = dataclasses.asdict(self)
        plain["value"] = _finite(self.value)
        plain["curve"] = [[step, _finite(value)] for step, value in self.curve]
        plain["numbers"] = {name: _finite(value) for name, value in self.numbers.items()}
        return plain

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Trial:
        """Restores a trial from `to_json`."""
        given = dict(stored)
        given["value"] = _number(given["value"])
        given["curve"] = tuple((int(step), _number(value)) for step, value in given["curve"])
        given["numbers"] = {name: _number(value) for name, value in given["numbers"].items()}
        return cls(**given)


def best_of(trials: Iterable[Trial]) -> Trial:
    """Returns the trial with the lowest value among those that ran to their end.

    Raises:
      TaskError: if none did.
    """
    known = [*trials]
    done = [trial for trial in known if trial.state == "done"]
    if not done:
        raise TaskError(no_success(known))
    return min(done, key=lambda trial: (trial.value, trial.number))


def no_success(trials: Sequence[Trial]) -> str:
    """Returns the message for a search in which nothing ran to its end."""
    failed = [trial for trial in trials if trial.state == "failed"]
    if not failed:
        return "The search has no finished trial; give it more trials."
    last = failed[-1]
    return (
        f"The objective failed in all of the {len(failed)} trials, the last time with {last.why} "
        f"for {last.params}; call it once by hand with these values."
    )


class TrialFile:
    """`trials.jsonl`: a line for each trial, written when it ends.

    Args:
      path: of the file; its folder is made.
      resume: whether it may hold trials already.

    Raises:
      TaskError: if it holds trials and `resume` is False, or lines that cannot be read.
      OSError: if it cannot be written.
    """

    def __init__(self, path: Path, resume: bool) -> None:
        self.path = path
        self.trials: list[Trial] = []
        if path.exists():
            if not resume:
                raise TaskError(
                    f"{path} holds the trials of another search; go on with it by resume=True, or "
                    "name another folder."
                )
            self.trials = read_trials(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._write(self.trials, "w")  # without a last line that was cut short

    def add(self, trial: Trial) -> None:
        """Keeps one more trial."""
        self.trials.append(trial)
        self._write([trial], "a")

    def _write(self, trials: Sequence[Trial], mode: str) -> None:
        with self.path.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(trial.to_json()) + "\n" for trial in trials)


def read_trials(path: Path) -> list[Trial]:
    """Reads `trials.jsonl`; a last line that was cut short by a crash is left out.

    Raises:
      TaskError: for another line that is no trial.
    """
    lines = path.read_text(encoding="utf-8").split("\n")
    found = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            found.append(Trial.from_json(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise TaskError(
                f"{path}, line {number}, is no trial ({error}); remove the line, or search into "
                "another folder."
            ) from error
    return found


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
