"""What `jrecipe inspect` finds: damage, what the checks say of the rest, and every example."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jrecipe.checks import Check, Context, Finding, Verdict, run_checks, select
from jrecipe.checks.damaged import judge_damage
from jrecipe.checks.diagnosis import diagnose
from jrecipe.data import Splits
from jrecipe.explore import Survey, copies_csv, fragment, suspects_csv
from jrecipe.recipe import build_task, suggest_plan
from jrecipe.recipe.checked import facts
from jrecipe.recipe.surveyed import heard, surveyed
from jrecipe.report import Report
from jrecipe.report.report import Part
from jrecipe.task import Task
from jrecipe.train.clock import Clock


@dataclasses.dataclass(frozen=True)
class Inspected:
    """What there is to show.

    Attributes:
      report: findings and story.
      survey: of every example; None if they were not looked at.
    """

    report: Report
    survey: Survey | None = None

    def explorer(self, rows: int, seed: int) -> Part | None:
        """Returns the part of the page that shows every example, at most `rows` of them."""
        if self.survey is None:
            return None
        return fragment(self.survey.examples, rows=rows, seed=seed)

    @property
    def lists(self) -> dict[str, str]:
        """File name -> text: what else is written."""
        return {} if self.survey is None else lists_of(self.survey)


def lists_of(survey: Survey) -> dict[str, str]:
    """Returns file name -> text of the lists that a survey leaves."""
    lists = {"copies.csv": copies_csv(survey)}
    if survey.suspects is not None:
        lists["suspects.csv"] = suspects_csv(survey)
    return lists


def look(
    what: Task | Splits,
    *,
    seed: int,
    ignore: Iterable[str],
    command: str,
    progress: Callable[[Check], None],
    say: Callable[[str], None],
    quick: bool = False,
) -> Inspected:
    """Judges what of a data set is damaged, runs the checks of stage "inspect", and looks at all.

    With too few examples for three splits, or a single one to train on, nothing can be compared,
    and every check is SKIPPED.

    Args:
      what: a task, or a data set that was loaded with `skip_damaged`.
      seed: decides what is drawn.
      ignore: codes of causes, items or names to silence.
      command: what the report shows for repeating it.
      progress: called with each check before it runs.
      say: told what else is being done.
      quick: leave it at the checks, and look at no single example.
    """
    entries = select(stage="inspect")
    silenced = tuple(ignore)
    damaged: tuple[Finding, ...] = ()
    data: Any = what
    if isinstance(what, Splits):
        sources = {"train": what.train, "val": what.val, "test": what.test}
        examples = {name: len(source) for name, source in sources.items()}
        damaged = heard(judge_damage(what.damage, sum(examples.values())), silenced)
        if not all(examples.values()) or examples["train"] < 2:
            facts = {"command": command, "seed": seed, "examples": examples}
            skipped = _too_few(entries, examples)
            return Inspected(Report(task=what.name, findings=(*damaged, *skipped), facts=facts))
        what = build_task(what, suggest_plan(what))
    with Clock() as clock:
        context = Context(what, seed, "quick")
        if quick:
            findings = run_checks(context, entries, silenced, progress)
            return Inspected(_report(what, (*damaged, *diagnose(findings)), seed, clock, command))
        looked = surveyed(data, context, silenced, progress, say)
        report = _report(what, (*damaged, *diagnose(looked.findings)), seed, clock, command)
    return Inspected(dataclasses.replace(report, sections=(looked.section,)), looked.survey)


def _report(
    task: Task, findings: tuple[Finding, ...], seed: int, clock: Clock, command: str
) -> Report:
    return Report(task=task.name, findings=findings, facts=facts(task, seed, clock, command))


def _too_few(entries: Iterable[Check], examples: Mapping[str, int]) -> tuple[Finding, ...]:
    """Returns every check as SKIPPED; `examples` of each split."""
    whole = all(examples.values())
    total = examples["train"] if whole else sum(examples.values())
    what = f"{'training ' if whole else ''}example{' is' if total == 1 else 's are'}"
    said = f"{total} {what} too few: nothing can be compared."
    return tuple(
        Finding(
            item=entry.item,
            check=entry.name,
            verdict=Verdict.SKIPPED,
            evidence={f"{split}_rows": rows for split, rows in examples.items()},
            finding=said,
        )
        for entry in entries
    )
