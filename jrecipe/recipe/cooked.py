"""`cook`: the stages of the recipe in order, each gated by its checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.checks import Check, Context, Finding, Verdict, run_checks, select
from jrecipe.checks.context import Budget
from jrecipe.data.splits import Splits
from jrecipe.explore import Survey
from jrecipe.figures import Bars, Table
from jrecipe.recipe.blown_up import blown_up
from jrecipe.recipe.checked import facts, require_task
from jrecipe.recipe.courses import Course, Courses
from jrecipe.recipe.deadline import Deadline
from jrecipe.recipe.dish import Dish, PlannedDish, dish_from_json, dish_of
from jrecipe.recipe.effort import (
    Effort,
    Ending,
    effort_of,
    ending_of,
    lightened,
    pace_of,
    trials_within,
)
from jrecipe.recipe.inside_chapter import look_once
from jrecipe.recipe.never_better import never_better
from jrecipe.recipe.plan import target_scale
from jrecipe.recipe.predictions import look_at_predictions
from jrecipe.recipe.squeeze_stage import Squeezed, compared, squeeze
from jrecipe.recipe.stages import loss_range, overfit, prepare, regularise, train_finally
from jrecipe.recipe.surveyed import Surveyed, heard, surveyed
from jrecipe.recipe.tune_stage import tune
from jrecipe.report import Report, Section
from jrecipe.squeeze import judge_smaller
from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.task import Task, validate_values
from jrecipe.train.clock import Clock
from jrecipe.train.fitted import Fit
from jrecipe.train.seeds import SeedRuns
from jrecipe.types import TaskError

UNTRIED = (
    "Work is short, so dropout and decay were not tried, and in every run, the final one too, the "
    "learning rate falls to 0 (C4) without a trial of that: a constant one ends in its own noise."
)
STAGES = ("inspect", "skeleton", "overfit", "regularise", "tune")  # each ends at a gate
_NO_ROOM = (
    "there is no room for two more networks and a student in the work, or the time, of a run; give "
    "more --minutes, or use `jrecipe ensemble`."
)
_SAVED = "Ensemble and student are in folders of these names, as runs of their own."
# Shares of the time that is left when a stage begins.
_SHARES = {"overfit": 0.2, "regularise": 0.3, "tune": 0.4}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dinner:
    """What `cook` serves.

    Attributes:
      report: findings by item, the story stage by stage, the final numbers.
      fit: the trained task; None if a gate stopped before.
      dish: the task, or the data and plan, as it came out.
      stopped: the stage whose gate stopped it, empty if none did.
      interrupted: whether Ctrl-C or SIGTERM ended it in or after the final run.
      survey: what is known of every example; None where a resumed run had looked before.
      ensemble: the final run and other seeds together; None if it was not made.
      student: the training of one network on what the ensemble answers; None if there is none.
    """

    report: Report
    fit: Fit | None
    dish: Dish
    stopped: str = ""
    interrupted: bool = False
    survey: Survey | None = None
    ensemble: Ensemble | None = None
    student: Fit | None = None

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def cook(
    what: Task | Splits,
    *,
    seed: int = 0,
    keep_going: bool = False,
    ignore: Iterable[str] = (),
    budget: Budget = "quick",
    minutes: float | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    human: tuple[np.ndarray, np.ndarray] | None = None,
    command: str = "",
    show: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> Dinner:
    """Cooks a task or a data set: inspect, skeleton, overfit, regularise, tune, squeeze, and test.

    The first stage looks at every example of every split, see `jr.explore.survey`. A stage with a
    FAILED finding is a gate: it stops there unless `keep_going`. Only the end reads the test
    split's targets for a score.

    Args:
      what: a task of your own, or a data set, for which a network is chosen.
      seed: decides everything that is drawn.
      keep_going: pass gates that failed.
      ignore: codes of causes, items or checks to silence.
      budget: "quick" or "full": how long the controls of the checks train.
      minutes: wall time to divide among the stages, > 0. What does not fit in is left out, and the
        report says so; the checks and a short final run are always there. None counts operations
        instead, which gives the same result on any machine.
      out: folder for what each stage left, and the checkpoints and history of the final run; None
        keeps them in memory.
      resume: go on with the run that `out` holds, at the stage where it ended, or within the final
        run. The task and the data have to be the same.
      human: `(rows, answers)` of a person on the validation split (B6).
      command: what the report shows for repeating it.
      show: called with a line of text as each part begins.
      progress: a bar for the final run; None shows it on a terminal only.

    Raises:
      TaskError: if the task or its data cannot be used, or `minutes` is not > 0.
      KeyboardInterrupt: if Ctrl-C was pressed before the final run.
      OSError: if `out` cannot be written.
    """
    if not isinstance(what, Splits):
        require_task(what)
    if minutes is not None and not 0 < minutes < float("inf"):
        raise TaskError(f"cook needs minutes > 0, got {minutes!r}; 10 is much on a CPU.")
    clock = Clock()
    kitchen = Kitchen(
        what,
        seed=seed,
        ignore=tuple(ignore),
        budget=budget,
        minutes=minutes,
        courses=Courses(None if out is None else Path(out) / "stages", resume),
        human=human,
        say=show or (lambda text: None),
    )
    with clock:
        stopped = kitchen.prepared(keep_going)
        if not stopped:
            kitchen.finish(out=out, resume=resume, progress=progress)
    return kitchen.serve(stopped, clock, command)


class Kitchen:
    """A run of `cook`: the dish, and what each stage left.

    Args:
      what: a task, or a data set.
      seed: see `cook`.
      ignore: see `cook`.
      budget: see `cook`.
      minutes: see `cook`.
      courses: what stages left, those of an earlier part of the run among them.
      human: see `cook`.
      say: told what begins.
    """

    def __init__(
        self,
        what: Task | Splits,
        *,
        seed: int,
        ignore: tuple[str, ...],
        budget: Budget,
        minutes: float | None,
        courses: Courses,
        human: tuple[np.ndarray, np.ndarray] | None,
        say: Callable[[str], None],
    ) -> None:
        self.what, self.seed, self.ignore, self.say = what, seed, ignore, say
        self.courses = courses
        self.dish, self.lighter = lightened(dish_of(what))
        task = self.dish.task
        if human is not None:
            raise_if_wrong(human, len(task.val))
        validate_values(task)
        self.context = Context(task if human is None else task.replace(human=human), seed, budget)
        known = [course for name in STAGES if (course := courses.get(name)) is not None]
        self.deadline = Deadline(minutes, max((one.seconds for one in known), default=0.0))
        self.findings: list[Finding] = []
        self.sections: list[Section] = []
        self.numbers: dict[str, float] = {}
        self.runs: SeedRuns | None = None
        self.looked: Surveyed | None = None
        self.fit: Fit | None = None
        self.squeezed: Squeezed | None = None
        self.test: dict[str, float] | None = None

    def prepared(self, keep_going: bool) -> str:
        """Runs the stages up to the final run; returns the one whose gate stopped it, or ""."""
        going_on = True  # a stage is only known if those before are
        for name in STAGES:
            course = self.courses.get(name) if going_on else None
            if course is None:
                going_on = False
                course = self._course(name, *getattr(self, f"_{name}")())
                failed = any(f.verdict is Verdict.FAILED for f in course.findings)
                if keep_going or not failed:
                    self.courses.keep(course)
            else:
                self.dish = dish_from_json(self.what, course.dish)
                self.say(f"{name.capitalize()}: as it was left")
            self.findings += heard(course.findings, self.ignore)
            self.sections += course.sections
            self.numbers |= course.numbers
            self.runs = course.runs
            if not keep_going and any(f.verdict is Verdict.FAILED for f in self.findings):
                return name
        return ""

    def _course(
        self,
        stage: str,
        findings: Iterable[Finding],
        sections: Iterable[Section],
        runs: SeedRuns | None = None,
        numbers: Mapping[str, float] | None = None,
    ) -> Course:
        return Course(
            stage=stage,
            dish=self.dish.to_json(),
            findings=tuple(findings),
            sections=tuple(sections),
            runs=runs,
            numbers=numbers or {},
            seconds=self.deadline.spent,
        )

    def _inspect(self) -> tuple[Any, ...]:
        notes = self.what.notes if isinstance(self.what, Splits) else ()
        text = (_sizes(self.dish.task), *notes, *self.lighter)
        self.looked = surveyed(self.what, self.context, self.ignore, self._tell, self.say)
        return self.looked.findings, (Section(title="The data", text=text), self.looked.section)

    def _skeleton(self) -> tuple[Any, ...]:
        found = run_checks(self.context, select(stage="skeleton"), self.ignore, self._tell)
        self.dish, section = prepare(self.dish, self.context, tuple(found))
        return found, (section,)

    def _overfit(self) -> tuple[Any, ...]:
        effort = effort_of(self.dish.task, self.deadline)
        self.dish = self.dish.stretched(effort.rung, effort.bounded)  # the final run in small
        self.say("Overfit: capacity grows until the training loss is near its floor")
        until = self.deadline.part(_SHARES["overfit"])
        self.dish, runs, finding, section = overfit(self.dish, effort, until)
        numbers = {
            "rung": effort.rung,
            "bounded": effort.bounded,
            "seeds": len(effort.seeds),
            "looks": effort.looks,
            "uninformed": loss_range(self.dish.task)[0],
            "overfit": float(runs.best.mean()),
        }
        return (finding,), (section,), runs, numbers

    def _regularise(self) -> tuple[Any, ...]:
        self.say("Regularise: one change at a time, over seeds")
        assert self.runs is not None  # of the stage before
        tell = lambda name: self.say(f"Regularise: {name}")  # noqa: E731
        until = self.deadline.part(_SHARES["regularise"])
        self.dish, runs, finding, section = regularise(
            self.dish, self.runs, self._effort, tell, until
        )
        return (finding,), (section,), runs, {"regularise": float(runs.best.mean())}

    def _tune(self) -> tuple[Any, ...]:
        effort, pace = self._effort, pace_of(self.dish.task, self.deadline)
        part = self.deadline.part(_SHARES["tune"])
        trials = trials_within(pace, effort, part.left)
        if trials:
            self.say(f"Tune: {trials} trials as one program, the best again from fresh seeds")
        before = self.dish
        tuned = tune(before, effort, trials, self.seed)
        self.dish = tuned.dish
        ending = ending_of(self.dish.task, self.deadline, pace)
        numbers = dataclasses.asdict(ending)
        if tuned.runs is not None and tuned.before is not None:
            numbers["fresh"] = float(tuned.before.best.mean())
            if tuned.dish is not before:
                numbers["tune"] = float(tuned.runs.best.mean())
        section = tuned.section
        if ending.bounded and isinstance(self.dish, PlannedDish):
            section = dataclasses.replace(section, text=(*section.text, UNTRIED))
        return (tuned.finding,), (section,), self.runs, numbers

    def finish(self, *, out: str | Path | None, resume: bool, progress: bool | None) -> None:
        """Trains the final run, squeezes it, and reads the test split once."""
        names = [field.name for field in dataclasses.fields(Ending)]
        ending = Ending(**{name: self.numbers[name] for name in names})  # type: ignore[arg-type]
        self.dish = self.dish.stretched(ending.final, ending.bounded)
        self.say(f"The final run: {ending.final} updates")
        self.fit = fit = train_finally(
            self.dish.task, ending.final, self.seed, out=out, resume=resume, progress=progress
        )
        if fit.signal:
            return
        if (problem := blown_up(fit)) is not None:  # nothing of it is worth the test split
            self.findings.append(problem)
            self.sections.append(
                Section(title="The final run", text=(str(fit),), figures=(fit.curves(),))
            )
            return
        if (doubt := never_better(fit)) is not None:
            self.findings += heard([doubt], self.ignore)
        seen, inside = look_once(fit, self.ignore)
        self.findings += seen
        self.sections += inside
        self.squeezed = squeezed = squeeze(fit, ending.members, self.say, why_not=_NO_ROOM)
        self.findings += heard(squeezed.findings, self.ignore)
        told = squeezed.section
        if squeezed.ensemble is not None and out is not None:
            told = dataclasses.replace(told, text=(*told.text, _SAVED))
        self.sections += [told, self._brought(fit, squeezed)]
        self.say("The test split, once")
        self.test, section = final_numbers(self.dish, fit)
        split = "test" if fit.task.test is not None else "val"
        comparison, why = compared(fit, squeezed, split)
        if comparison is not None:
            self.findings += heard([judge_smaller(comparison, "int8 weights")], self.ignore)
            section = dataclasses.replace(section, table=comparison.table())
        elif why:
            section = dataclasses.replace(section, text=(*section.text, why))
        self.sections.append(section)

    def serve(self, stopped: str, clock: Clock, command: str) -> Dinner:
        """Returns what came out."""
        if stopped:
            failed = next(f for f in self.findings if f.verdict is Verdict.FAILED)
            text = (
                f"{failed.item} {failed.check} failed. {failed.remedy}",
                "Mend it, or pass the gate with --keep-going.",
            )
            self.sections.append(Section(title=f"Stopped after: {stopped}", text=text))
        known = facts(self.dish.task, self.seed, clock, command)
        if self.deadline.minutes is not None:
            known["minutes asked for"] = self.deadline.minutes
        if self.courses.unkept:
            known["stages not kept"] = self.courses.unkept
        return Dinner(
            report=Report(
                task=self.dish.task.name,
                findings=tuple(self.findings),
                sections=tuple(self.sections),
                facts=known,
                test=self.test,
            ),
            fit=self.fit,
            dish=self.dish,
            stopped=stopped,
            interrupted=self.fit is not None and bool(self.fit.signal),
            survey=None if self.looked is None else self.looked.survey,
            ensemble=None if self.squeezed is None else self.squeezed.ensemble,
            student=None if self.squeezed is None else self.squeezed.student,
        )

    @property
    def _effort(self) -> Effort:
        """What the stage of overfitting chose, for the stages that are compared with it."""
        return Effort(
            rung=int(self.numbers["rung"]),
            final=0,
            seeds=tuple(range(1, int(self.numbers["seeds"]) + 1)),
            bounded=bool(self.numbers["bounded"]),
            most_looks=int(self.numbers["looks"]),
        )

    def _brought(self, fit: Fit, squeezed: Squeezed) -> Section:
        """Returns what each step brought on the validation split, from uninformed to ensemble."""
        rung = f"{int(self.numbers['rung'])} updates"
        seeds, fresh = f"{int(self.numbers['seeds'])} seeds, {rung}", f"fresh seeds, {rung}"
        steps = [("an uninformed network", "", self.numbers["uninformed"])]
        steps += [
            (name, how, self.numbers[key])
            for key, name, how in (
                ("overfit", "overfit: large enough", seeds),
                ("regularise", "regularise: what helped", seeds),
                ("fresh", "the same once more", fresh),
                ("tune", "tune: the best values", fresh),
            )
            if key in self.numbers
        ]
        steps.append(
            ("the final run", f"1 seed, {fit.steps} updates", float(fit.history["val_loss"].min()))
        )
        steps += [(name, "", loss) for name, loss in squeezed.losses.items()]
        return Section(
            title="What each step brought",
            text=(
                "Validation loss, early stopping included; the lower the better. Rows with seeds "
                "are means, and shorter runs than the final one.",
            ),
            table=Table(
                title="",
                columns=("step", "trained", "validation loss"),
                rows=[(name, how, f"{loss:.4g}") for name, how, loss in steps],
            ),
            figures=(
                Bars(
                    title="From overfitting on",
                    values={name: loss for name, _, loss in steps[1:]},
                    xlabel="validation loss",
                ),
            ),
        )

    def _tell(self, check: Check) -> None:
        self.say(f"{check.item} {check.question}")


def final_numbers(dish: Dish, fit: Fit) -> tuple[dict[str, float], Section]:
    """Evaluates the best state once on the test split, or on validation if there is no test split.

    Returns:
      The numbers for the report, and the section that shows them.
    """
    task = dish.task
    split = "test" if task.test is not None else "val"
    result = fit.evaluate(split, keep_outputs=True)
    numbers: dict[str, float] = {"loss": result.loss, "n": result.n}
    name = getattr(task.metric, "__name__", "metric")
    if np.isfinite(result.metric):
        numbers["accuracy" if "accuracy" in name else name] = result.metric
    scale = target_scale(dish.splits) if isinstance(dish, PlannedDish) else None
    if scale is not None:
        numbers["rmse"] = float(np.sqrt(result.loss * np.mean(scale[1] ** 2)))
        targets = np.asarray(task.splits[split].take(np.arange(result.n))[1], np.float64)
        numbers["r2"] = 1.0 - result.loss / float(max(targets.var(axis=0).mean(), 1e-12))
    said = [f"{k.replace('_', ' ')} {v:.4g}" for k, v in numbers.items() if k != "n"]
    text = (
        f"The state with the lowest validation loss (step {fit.best_step} of {fit.steps}, D11) on "
        f"all {result.n} examples of the {split} split: {', '.join(said)} (standard error of the "
        f"loss {result.loss_stderr:.2g}).",
        ""
        if split == "test"
        else "There is no test split; these are validation numbers, which are "
        "too good, as decisions were made on them.",
    )
    return numbers, Section(
        title=f"The {split} split, once",
        text=tuple(part for part in text if part),
        figures=(fit.curves(), *look_at_predictions(task, split, result)),
    )


def raise_if_wrong(human: tuple[Any, Any], rows: int) -> None:
    """Raises TaskError if a person's answers do not fit the validation split."""
    index, answers = map(np.asarray, human)
    if len(index) != len(answers) or not len(index):
        raise TaskError(
            f"human needs as many rows as answers, got {len(index)} and {len(answers)}."
        )
    if index.min() < 0 or index.max() >= rows:
        raise TaskError(
            f"human has row {int(index.max())}, but the validation split has rows 0 to {rows - 1}."
        )


def _sizes(task: Task) -> str:
    sizes = ", ".join(f"{len(source)} {name}" for name, source in task.splits.items())
    return f"{task.name}: {sizes} examples."
