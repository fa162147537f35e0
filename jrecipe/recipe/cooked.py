"""`cook`: the stages of the recipe in order, each gated by its checks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.checks import Check, Context, Finding, Verdict, run_checks, select
from jrecipe.checks.context import Budget
from jrecipe.data.splits import Splits
from jrecipe.explore import Survey
from jrecipe.recipe.checked import facts, require_task
from jrecipe.recipe.dish import Dish, PlannedDish, dish_of
from jrecipe.recipe.effort import effort_of, lightened
from jrecipe.recipe.inside_chapter import look_once
from jrecipe.recipe.plan import target_scale
from jrecipe.recipe.predictions import look_at_predictions
from jrecipe.recipe.stages import overfit, prepare, regularise, train_finally
from jrecipe.recipe.surveyed import Surveyed, surveyed
from jrecipe.report import Report, Section
from jrecipe.task import Task, validate_values
from jrecipe.train.clock import Clock
from jrecipe.train.fitted import Fit
from jrecipe.types import TaskError

UNTRIED = (
    "Work is short, so dropout and decay were not tried, and in every run, the final one too, the "
    "learning rate falls to 0 (C4) without a trial of that: a constant one ends in its own noise."
)
STAGES = ("inspect", "skeleton", "overfit", "regularise", "test")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dinner:
    """What `cook` serves.

    Attributes:
      report: findings by item, the story stage by stage, the final numbers.
      fit: the trained task; None if a gate stopped before.
      dish: the task, or the data and plan, as it came out.
      stopped: the stage whose gate stopped it, empty if none did.
      interrupted: whether Ctrl-C ended it early.
      survey: what is known of every example.
    """

    report: Report
    fit: Fit | None
    dish: Dish
    stopped: str = ""
    interrupted: bool = False
    survey: Survey | None = None

    def _repr_html_(self) -> str:
        return self.report._repr_html_()


def cook(
    what: Task | Splits,
    *,
    seed: int = 0,
    keep_going: bool = False,
    ignore: Iterable[str] = (),
    budget: Budget = "quick",
    out: str | Path | None = None,
    resume: bool = False,
    human: tuple[np.ndarray, np.ndarray] | None = None,
    command: str = "",
    show: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> Dinner:
    """Cooks a task or a data set: inspect, skeleton, overfit, regularise, and test once.

    The first stage looks at every example of every split, see `jr.explore.survey`. A stage with a
    FAILED finding is a gate: it stops there unless `keep_going`. Only the last stage reads the test
    split's targets for a score.

    Args:
      what: a task of your own, or a data set, for which a network is chosen.
      seed: decides everything that is drawn.
      keep_going: pass gates that failed.
      ignore: codes of causes, items or checks to silence.
      budget: "quick" or "full": how long the controls of the checks train.
      out: folder for the checkpoints and history of the final run; None keeps them in memory.
      resume: go on with the final run that `out` holds. The stages before are repeated; they give
        the same results.
      human: `(rows, answers)` of a person on the validation split (B6).
      command: what the report shows for repeating it.
      show: called with a line of text as each part begins.
      progress: a bar for the final run; None shows it on a terminal only.

    Raises:
      TaskError: if the task or its data cannot be used.
      OSError: if `out` cannot be written.
    """
    if not isinstance(what, Splits):
        require_task(what)
    dish, lighter = lightened(dish_of(what))
    if human is not None:
        raise_if_wrong(human, len(dish.task.val))
    say = show or (lambda text: None)
    validate_values(dish.task)
    findings: list[Finding] = []
    sections: list[Section] = []
    fit: Fit | None = None
    test: dict[str, float] | None = None
    looked: Surveyed | None = None

    def gate(stage: str) -> bool:
        failed = [f for f in findings if f.verdict is Verdict.FAILED]
        return bool(failed) and not keep_going

    def serve(stopped: str = "") -> Dinner:
        task = dish.task
        if stopped:
            failed = next(f for f in findings if f.verdict is Verdict.FAILED)
            sections.append(
                Section(
                    title=f"Stopped after: {stopped}",
                    text=(
                        f"{failed.item} {failed.check} failed. {failed.remedy}",
                        "Mend it, or pass the gate with --keep-going.",
                    ),
                )
            )
        report = Report(
            task=task.name,
            findings=tuple(findings),
            sections=tuple(sections),
            facts=facts(task, seed, clock, command),
            test=test,
        )
        interrupted = fit is not None and fit.interrupted
        return Dinner(
            report=report,
            fit=fit,
            dish=dish,
            stopped=stopped,
            interrupted=interrupted,
            survey=None if looked is None else looked.survey,
        )

    with Clock() as clock:
        checked = dish.task if human is None else dish.task.replace(human=human)
        context = Context(checked, seed, budget)
        notes = what.notes if isinstance(what, Splits) else ()
        sections.append(Section(title="The data", text=(_sizes(dish.task), *notes, *lighter)))

        def tell(check: Check) -> None:
            say(f"{check.item} {check.question}")

        looked = surveyed(what, context, ignore, tell, say)
        findings += looked.findings
        sections.append(looked.section)
        if gate("inspect"):
            return serve("inspect")
        findings += run_checks(context, select(stage="skeleton"), ignore, tell)
        if gate("skeleton"):
            return serve("skeleton")
        dish, section = prepare(dish, context, tuple(findings))
        sections.append(section)
        effort = effort_of(dish.task)
        dish = dish.stretched(effort.rung, effort.bounded)  # a trial is the final run in small
        say("Overfit: capacity grows until the training loss is near its floor")
        dish, base, finding, section = overfit(dish, effort)
        findings.append(finding)
        sections.append(section)
        if gate("overfit"):
            return serve("overfit")
        say("Regularise: one change at a time, over seeds")
        dish, finding, section = regularise(
            dish, base, effort, lambda name: say(f"Regularise: {name}")
        )
        findings.append(finding)
        last = effort_of(dish.task)
        final = last.final
        dish = dish.stretched(final, last.bounded)
        if last.bounded and isinstance(dish, PlannedDish):
            section = dataclasses.replace(section, text=(*section.text, UNTRIED))
        sections.append(section)
        say(f"The final run: {final} updates")
        fit = train_finally(dish.task, final, seed, out=out, resume=resume, progress=progress)
        if fit.interrupted:
            return serve()
        seen, inside = look_once(fit, ignore)
        findings += seen
        sections += inside
        say("The test split, once")
        test, section = final_numbers(dish, fit)
        sections.append(section)
        return serve()


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
