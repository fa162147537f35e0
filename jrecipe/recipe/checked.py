"""`check`: every check on one task, as a report."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jrecipe.checks import Check, Context, run_checks, select
from jrecipe.checks.context import Budget
from jrecipe.checks.diagnosis import diagnose
from jrecipe.report import Report
from jrecipe.task import Task
from jrecipe.train.clock import Clock
from jrecipe.types import TaskError
from jrecipe.version import __version__


def check(
    task: Task,
    *,
    seed: int = 0,
    only: Iterable[str] = (),
    ignore: Iterable[str] = (),
    budget: Budget = "quick",
    command: str = "",
    progress: Callable[[Check], None] | None = None,
) -> Report:
    """Runs the checks of stages A and B on a task.

    The task is not changed, and no check raises because a task is bad: what its code raises becomes
    a finding.

    Args:
      task: what to check.
      seed: decides batches, weights and draws.
      only: items ("B4") or names ("loss-at-init") of checks; all if empty.
      ignore: codes of causes (`jr.checks.CAUSES`), items or names to silence.
      budget: "quick" or "full": how long the controls train.
      command: what the report shows for repeating it.
      progress: called with each check before it runs.

    Returns:
      A report; `report.ok` tells whether no finding failed.

    Raises:
      TaskError: if `task` is not a Task, or an argument names something unknown.
    """
    require_task(task)
    checks = select(only)
    with Clock() as clock:
        findings = run_checks(Context(task, seed, budget), checks, ignore, progress)
        findings = diagnose(findings)
    return Report(task=task.name, findings=findings, facts=facts(task, seed, clock, command))


def require_task(task: object) -> None:
    """Raises TaskError if `task` is not a Task."""
    if not isinstance(task, Task):
        raise TaskError(
            f"A jr.Task is needed, got {type(task).__name__} {str(task)[:60]!r}; "
            "make one with jr.Task(model=..., loss=..., train=(inputs, targets), val=...)."
        )


def facts(task: Task, seed: int, clock: Clock, command: str) -> dict[str, Any]:
    """Returns what a reader needs to repeat or to trust a run."""
    import flax
    import optax

    started = time.time() - clock.seconds
    known: dict[str, Any] = {
        "command": command,
        "seed": seed,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(started)),
        "seconds": round(clock.seconds, 1),
        "compile seconds": round(clock.compile_seconds, 1),
        "examples": {name: len(source) for name, source in task.splits.items()},
        "batch size": task.batch_size,
        "device": f"{jax.devices()[0].device_kind} x {len(jax.devices())}",
        "versions": {
            "jrecipe": __version__,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "flax": flax.__version__,
            "optax": optax.__version__,
        },
    }
    if task.model is not None and task.trainer is None:
        shapes = jax.eval_shape(
            task.model.init,
            jax.random.key(0),
            task.train.take(np.arange(min(2, len(task.train))))[0],
        )[0]
        known["parameters"] = sum(int(np.prod(x.shape)) for x in jax.tree.leaves(shapes))
    return {name: value for name, value in known.items() if value != ""}
