"""The ladder: one change after another, kept only if it helps (C3)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from jrecipe.figures import Bars, Table
from jrecipe.rungs.compare import Difference, compare
from jrecipe.rungs.folder import Folder
from jrecipe.rungs.rung import Rung, climbed
from jrecipe.rungs.scores import Scores, train_rung
from jrecipe.task import Task
from jrecipe.types import TaskError

BASE = "baseline"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """What became of one rung.

    Attributes:
      name: of the rung.
      changed: fields of the task that it changed.
      scores: what it reached.
      over_below: what it brought over the last rung that was kept; None for the baseline.
      over_base: what it and those kept below brought over the baseline; None for the baseline.
      kept: whether the next rung stands on it.
    """

    name: str
    changed: tuple[str, ...]
    scores: Scores
    over_below: Difference | None
    over_base: Difference | None
    kept: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ladder:
    """All rungs, from the baseline up.

    Attributes:
      steps: what became of each.
      task: the task with every change that was kept.
      metric: what was scored.
    """

    steps: tuple[Step, ...]
    task: Task
    metric: str

    def table(self) -> Table:
        """Returns a row for each rung: scores, gap, gain with its interval, verdict, time."""
        rows = []
        for step in self.steps:
            scores, gain = step.scores, step.over_below
            rows.append(
                (
                    step.name,
                    _number(scores.train.mean()),
                    _number(scores.val_mean.mean()),
                    _number(scores.gap.mean()),
                    ""
                    if gain is None
                    else f"{gain.gain:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})",
                    "" if gain is None else gain.verdict,
                    f"{scores.steps}",
                    f"{scores.seconds:.0f} s",
                )
            )
        columns = ("rung", "train", "validation", "gap", "gain", "verdict", "updates", "time")
        seeds = len(self.steps[0].scores.seeds)
        return Table(title=f"{self.metric}, mean of {seeds} seeds", columns=columns, rows=rows)

    def markdown(self) -> str:
        """Returns the table as Markdown."""
        return self.table().markdown()

    def figure(self) -> Bars:
        """Returns the validation score of each rung, with the range over seeds."""
        values = {step.name: float(step.scores.val_mean.mean()) for step in self.steps}
        spans = {
            step.name: (float(step.scores.val_mean.min()), float(step.scores.val_mean.max()))
            for step in self.steps
        }
        return Bars(
            title="Validation score of each rung, mean and range over seeds",
            values=values,
            intervals=spans,
            levels={BASE: values[self.steps[0].name]},
            xlabel=self.metric,
        )

    def to_json(self) -> dict[str, Any]:
        """Returns everything but the scores of single examples, as plain numbers and texts."""
        return {"metric": self.metric, "rungs": [_plain(step) for step in self.steps]}


def ladder(
    base: Task,
    rungs: Sequence[Rung],
    *,
    steps: int = 2_000,
    seeds: int | Sequence[int] = 3,
    keep: Literal["helpful", "all"] = "helpful",
    out: str | Path | None = None,
    resume: bool = False,
    progress: Callable[[str], None] | None = print,
) -> Ladder:
    """Climbs: trains the baseline, then with one change more at a time, and compares over seeds.

    Each rung is compared with the last one kept, on the same seeds and validation examples (see
    `compare`). As the validation split chooses, its score of the last rung is a little too good:
    judge that one on a test split.

    Args:
      base: the task before any change.
      rungs: changes, in the order to try them.
      steps: updates of the baseline; `Rung.steps` multiplies those of the rung below.
      seeds: how many, or which; at least two for a verdict, three for one to trust.
      keep: "helpful" keeps a rung whose whole interval of the gain is above 0; "all" builds on
        every rung, to show what each brings to a given recipe.
      out: folder for `ladder.json` and the scores of every rung, so that it can be resumed.
      resume: take over the rungs in `out`. A rung is known by its place, name, updates and seeds
        and by the size of the data; whether its code is still the same nobody can see.
      progress: told one line after each rung; None for silence.

    Raises:
      TaskError: for rungs of one name, that change nothing or too much, a folder that holds another
        ladder, or arguments out of range.
      KeyboardInterrupt: if Ctrl-C was pressed; the rungs before are in `out`.
      OSError: if `out` cannot be written.

    Example:
      >>> import numpy as np, optax, jrecipe as jr
      >>> x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")
      >>> task = jr.Task(model=jr.models.Linear(2), loss=jr.losses.softmax_cross_entropy(),
      ...                train=(x, x[:, 0] > 0), val=(x, x[:, 0] > 0), batch_size=32)
      >>> faster = jr.rungs.Rung(
      ...     name="Adam 0.1", change=lambda task: task.replace(optimizer=optax.adam(0.1))
      ... )
      >>> climbed = jr.ladder(task, [faster], steps=20, seeds=2, progress=None)
      >>> [step.name for step in climbed.steps]
      ['baseline', 'Adam 0.1']
    """
    given = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not given or len(set(given)) < len(given):
        raise TaskError(f"ladder needs seeds that differ, at least one, got seeds={seeds!r}.")
    if steps < 1:
        raise TaskError(f"ladder needs steps >= 1, got {steps!r}.")
    if keep not in ("helpful", "all"):
        raise TaskError(f"ladder got keep={keep!r}; there are 'helpful' and 'all'.")
    names = [BASE, *(rung.name for rung in rungs)]
    if len(set(names)) < len(names):
        raise TaskError(f"ladder needs rungs of different names, got {names[1:]}.")
    folder = None if out is None else Folder(Path(out), resume)
    first = Rung(name=BASE)
    tell = progress or (lambda line: None)
    scores = _scored(folder, 0, base, first, steps, given)
    done = [Step(name=BASE, changed=(), scores=scores, over_below=None, over_base=None, kept=True)]
    task, below, updates = base, scores, steps
    tell(_line(done[0]))
    for place, rung in enumerate(rungs, 1):
        changed, fields = climbed(task, rung)
        longer = max(1, round(updates * rung.steps))
        scores = _scored(folder, place, changed, rung, longer, given)
        gain = compare(below, scores)
        kept = keep == "all" or gain.verdict == "keeps"
        done.append(
            Step(
                name=rung.name,
                changed=fields,
                scores=scores,
                over_below=gain,
                over_base=compare(done[0].scores, scores),
                kept=kept,
            )
        )
        tell(_line(done[-1]))
        if kept:
            task, below, updates = changed, scores, longer
        if folder is not None:
            folder.say(_ladder(done, task).to_json())
    return _ladder(done, task)


def _ladder(done: Sequence[Step], task: Task) -> Ladder:
    metric = getattr(task.metric, "__name__", "score") if task.metric is not None else "minus loss"
    return Ladder(steps=tuple(done), task=task, metric=metric)


def _scored(
    folder: Folder | None, place: int, task: Task, rung: Rung, steps: int, seeds: tuple[int, ...]
) -> Scores:
    if folder is None:
        return train_rung(task, rung, steps, seeds)
    about = {
        "name": rung.name,
        "steps": steps,
        "seeds": [*seeds],
        "rows": [len(source) for source in task.splits.values()],
        "batch_size": int(task.batch_size),
    }
    known = folder.load(place, about)
    if known is None:
        known = train_rung(task, rung, steps, seeds)
        folder.save(place, about, known)
    return known


def _line(step: Step) -> str:
    scores = step.scores
    said = f"{step.name}: train {_number(scores.train.mean())}, "
    said += f"validation {_number(scores.val_mean.mean())}"
    if step.over_below is not None:
        gain = step.over_below
        said += f", {gain.gain:+.4f} ({gain.low:+.4f} to {gain.high:+.4f}): {gain.verdict}"
    return f"{said} [{scores.seconds:.0f} s]"


def _number(value: float) -> str:
    return f"{value:.4f}"


def _plain(step: Step) -> dict[str, Any]:
    scores = step.scores
    numbers = {
        "train": scores.train,
        "val": scores.val_mean,
        "gap": scores.gap,
        "train_loss": scores.train_loss,
        "val_loss": scores.val_loss,
    }
    return {
        "name": step.name,
        "changed": [*step.changed],
        "kept": step.kept,
        "seeds": [*scores.seeds],
        "steps": scores.steps,
        "seconds": scores.seconds,
        **{name: [_finite(x) for x in value] for name, value in numbers.items()},
        "over_below": _difference(step.over_below),
        "over_base": _difference(step.over_base),
    }


def _difference(one: Difference | None) -> dict[str, Any] | None:
    if one is None:
        return None
    plain = dataclasses.asdict(one)
    return {k: _finite(v) if isinstance(v, float) else v for k, v in plain.items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
