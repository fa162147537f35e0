"""The chapter of a report that shows the inside of the trained network (D13)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from jrecipe.checks.inside import NOT_SEEN
from jrecipe.checks.registry import FIT_CHECKS, run_fit_checks
from jrecipe.checks.result import Finding
from jrecipe.report import Section
from jrecipe.train.fitted import Fit

ITEM = "D13"
_TEXT = (
    "The best state on examples of the validation split, in evaluation mode. A unit is dead if it "
    "is 0 for every example, and saturated if it is at a limit for nearly every one; neither "
    "passes a gradient. The gradient is relative to the weights it belongs to.",
    "Each histogram has an axis of its own, from the smallest value to the largest, with a line at "
    "0; its heights are square roots of the counts.",
)
_OF_FILTERS = (
    "Each filter is scaled by its own largest weight; grey is 0. The noise compares neighbouring "
    "weights: it is 1 where they are unrelated, as before training, and near 0 in smooth filters."
)


def look_once(fit: Fit, ignore: Iterable[str]) -> tuple[tuple[Finding, ...], tuple[Section, ...]]:
    """Looks inside a run; returns the findings and the chapter, see `as_chapter`."""
    checks = tuple(check for check in FIT_CHECKS if check.item == ITEM)
    return as_chapter(run_fit_checks(fit, checks, ignore))


def as_chapter(
    findings: Iterable[Finding],
) -> tuple[tuple[Finding, ...], tuple[Section, ...]]:
    """Moves the pictures of the finding of D13 into a chapter of their own.

    Args:
      findings: any.

    Returns:
      The findings without those pictures; the chapter, none if there are no pictures.
    """
    kept: list[Finding] = []
    chapters: list[Section] = []
    for finding in findings:
        if finding.item != ITEM or not finding.figures:
            kept.append(finding)
            continue
        kept.append(dataclasses.replace(finding, figures=()))
        table, histograms, *filters = finding.figures
        missing = finding.evidence.get(NOT_SEEN)
        more = (*((_OF_FILTERS,) if filters else ()), *((str(missing),) if missing else ()))
        chapters.append(
            Section(
                title="Inside the network",
                text=(finding.finding, *_TEXT, *more),
                table=table,  # type: ignore[arg-type]
                figures=(histograms, *filters),
            )
        )
    return tuple(kept), tuple(chapters)
