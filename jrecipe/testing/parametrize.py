"""The checks as tests in a user's own CI: one pytest test for each."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import pytest

from jrecipe.checks import Check, Context, Finding, Verdict, run_checks, select
from jrecipe.recipe.checked import require_task
from jrecipe.task import Task


def parametrize_with_checks(
    task: Task, *, only: Iterable[str] = (), ignore: Iterable[str] = (), seed: int = 0
) -> Any:
    """Returns a pytest decorator that calls a test once for each check of a task.

    The test takes one argument, `check`: calling it runs the check, raises AssertionError with the
    finding and its evidence if it failed, and skips the test if the check could not judge. The
    checks share their compiled programs and controls.

    Args:
      task: what to check.
      only: items or names of checks; all if empty.
      ignore: codes of causes to silence.
      seed: decides batches, weights and draws.

    Raises:
      TaskError: if `task` is not a Task, or a name is unknown.

    Example:
      >>> import jrecipe as jr
      >>> def test_my_task(check):
      ...     check()
      >>> # @jr.testing.parametrize_with_checks(task) above it makes one test per check
    """
    require_task(task)
    context = Context(task, seed)
    checks = [
        pytest.param(
            functools.partial(assert_passes, context, check, tuple(ignore)),
            id=f"{check.item}-{check.name}",
        )
        for check in select(only)
    ]
    return pytest.mark.parametrize("check", checks)


def assert_passes(
    context: Context, check: Check, ignore: Iterable[str] = (), *, command: str = ""
) -> None:
    """Runs one check; raises AssertionError if it failed, and skips if it could not judge.

    Args:
      context: the task under examination.
      check: which.
      ignore: codes of causes to silence.
      command: what repeats it, for the message; default the Python call.
    """
    findings = run_checks(context, [check], ignore)
    failed = [finding for finding in findings if finding.verdict is Verdict.FAILED]
    if failed:
        seed = f", seed={context.seed}" if context.seed else ""
        again = command or f"jr.check(task, only=({check.name!r},){seed})"
        shown = "\n\n".join(describe(finding) for finding in failed)
        raise AssertionError(f"{shown}\nRepeat it with: {again}")
    if findings and all(finding.verdict is Verdict.SKIPPED for finding in findings):
        pytest.skip(findings[0].finding)


def describe(finding: Finding) -> str:
    """Returns a finding with its suspects and evidence, as a failing test shows it."""
    lines = [str(finding)]
    for suspect in finding.suspects:
        where = f" at {suspect.where}" if suspect.where else ""
        lines.append(f"  suspect {suspect.cause} in {suspect.component}{where}: {suspect.why}")
    lines += [f"  {name} = {value}" for name, value in finding.evidence.items()]
    return "\n".join(lines)
