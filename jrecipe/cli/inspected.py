"""What `jrecipe inspect` finds: damage, what the checks say of the rest, and every example."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jrecipe.checks import Check, Finding, Verdict, select
from jrecipe.checks.damaged import judge_damage
from jrecipe.checks.registry import silence
from jrecipe.data import Splits
from jrecipe.explore import (
    Survey,
    copies_csv,
    data_of,
    findings_of,
    fragment,
    needs_figures,
    needs_of,
    survey,
    suspects_csv,
)
from jrecipe.explore.needs import Need
from jrecipe.recipe import build_task, check, suggest_plan
from jrecipe.report import Report, Section
from jrecipe.report.report import Part
from jrecipe.task import Task


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
        if self.survey is None:
            return {}
        lists = {"copies.csv": copies_csv(self.survey)}
        if self.survey.suspects is not None:
            lists["suspects.csv"] = suspects_csv(self.survey)
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

    def heard(findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(
            silence(finding, silenced)
            for finding in findings
            if finding.item not in silenced and finding.check not in silenced
        )

    damaged: tuple[Finding, ...] = ()
    data: Any = what
    if isinstance(what, Splits):
        sources = {"train": what.train, "val": what.val, "test": what.test}
        examples = {name: len(source) for name, source in sources.items()}
        damaged = heard(judge_damage(what.damage, sum(examples.values())))
        if not all(examples.values()) or examples["train"] < 2:
            facts = {"command": command, "seed": seed, "examples": examples}
            skipped = _too_few(entries, examples)
            return Inspected(Report(task=what.name, findings=(*damaged, *skipped), facts=facts))
        what = build_task(what, suggest_plan(what))
    report = check(
        what,
        seed=seed,
        only=[entry.item for entry in entries],
        ignore=silenced,
        command=command,
        progress=progress,
    )
    report = dataclasses.replace(report, findings=(*damaged, *report.findings))
    if quick:
        return Inspected(report)
    found = survey(data_of(data), seed=seed, say=say)
    say("A6 What does the problem need?")
    needs = _needs(needs_of(found.gathered, seed))
    report = dataclasses.replace(
        report,
        findings=(*report.findings, *heard(findings_of(found))),
        sections=(*report.sections, needs),
    )
    return Inspected(report, found)


def _needs(found: tuple[Need, ...] | str) -> Section:
    """Returns the chapter on what the problem needs (A6)."""
    title = "What the problem needs"
    if isinstance(found, str):
        return Section(title=title, text=(f"No question was asked: {found}.",))
    return Section(
        title=title,
        text=tuple(need.sentence for need in found),
        figures=needs_figures(found),
    )


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
