"""`check_fit`: what a run showed on the way and at its end, as a report."""

from __future__ import annotations

from collections.abc import Iterable

from jrecipe.checks.diagnosis import diagnose
from jrecipe.checks.registry import FIT_CHECKS, run_fit_checks
from jrecipe.recipe.checked import facts
from jrecipe.recipe.inside_chapter import as_chapter
from jrecipe.report import Report, Section
from jrecipe.train.clock import Clock
from jrecipe.train.fitted import Fit
from jrecipe.types import TaskError


def check_fit(fit: Fit, *, ignore: Iterable[str] = (), command: str = "") -> Report:
    """Runs the checks of the time during and after training on a run.

    Args:
      fit: what `jr.fit` returned; with `monitor=True` more can be said.
      ignore: codes of causes, items or names of checks to silence.
      command: what the report shows for repeating it.

    Returns:
      A report with the learning curves, and what is inside the network (D13).

    Raises:
      TaskError: if `fit` is not a `Fit`, or `ignore` names something unknown.
    """
    if not isinstance(fit, Fit):
        raise TaskError(f"check_fit needs what jr.fit returned, got {type(fit).__name__}.")
    with Clock() as clock:
        findings, inside = as_chapter(diagnose(run_fit_checks(fit, FIT_CHECKS, ignore)))
    training = Section(title="Training", text=(str(fit),), figures=(fit.curves(),))
    return Report(
        task=fit.task.name,
        findings=findings,
        sections=(training, *inside),
        facts=facts(fit.task, fit.seed, clock, command),
    )
