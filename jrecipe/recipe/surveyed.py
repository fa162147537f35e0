"""The look at the data, as a stage of a recipe: its checks, every example, what is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from jrecipe.checks import Check, Context, Finding, run_checks, select
from jrecipe.checks.registry import silence
from jrecipe.data import Splits
from jrecipe.explore import (
    Survey,
    data_of,
    findings_of,
    needs_figures,
    needs_of,
    survey,
)
from jrecipe.explore.needs import Need
from jrecipe.report import Section
from jrecipe.task import Task

# The survey asks all examples what this asks a sample; where rows repeat by nature it does not.
_ANSWERED = "near-duplicates"


@dataclasses.dataclass(frozen=True)
class Surveyed:
    """What is known after the checks of stage "inspect" and a look at every example.

    Attributes:
      findings: of the checks, and of the survey (A1, A2, A4, A5, A8).
      survey: of all examples.
      section: what the problem needs (A6).
    """

    findings: tuple[Finding, ...]
    survey: Survey
    section: Section


def surveyed(
    what: Task | Splits,
    context: Context,
    ignore: Iterable[str],
    progress: Callable[[Check], None],
    say: Callable[[str], object],
) -> Surveyed:
    """Runs the checks of stage "inspect", and looks at every example of a task or a data set.

    Args:
      what: a data set shows a person more than its task: texts, columns and files as they were.
      context: of its task.
      ignore: codes of causes, items or checks to silence.
      progress: called with each check before it runs.
      say: told what else is being done.
    """
    entries = select(stage="inspect")
    first = [entry for entry in entries if entry.name != _ANSWERED]
    findings = run_checks(context, first, ignore, progress)
    found = survey(data_of(what), seed=context.seed, say=say)
    if found.copies.natural:
        others = [entry for entry in entries if entry.name == _ANSWERED]
        findings = (*findings, *run_checks(context, others, ignore, progress))
    say("A6 What does the problem need?")
    needs = _needs(needs_of(found.gathered, context.seed))
    return Surveyed((*findings, *heard(findings_of(found), ignore)), found, needs)


def heard(findings: Iterable[Finding], ignore: Iterable[str]) -> tuple[Finding, ...]:
    """Returns findings without those, and without the causes, that are silenced."""
    silenced = tuple(ignore)
    return tuple(
        silence(finding, silenced)
        for finding in findings
        if finding.item not in silenced and finding.check not in silenced
    )


def _needs(found: tuple[Need, ...] | str) -> Section:
    title = "What the problem needs"
    if isinstance(found, str):
        return Section(title=title, text=(f"No question was asked: {found}.",))
    return Section(
        title=title,
        text=tuple(need.sentence for need in found),
        figures=needs_figures(found),
    )
