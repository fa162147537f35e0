"""A run that could not go on, as a finding (C2)."""

from __future__ import annotations

from jrecipe.checks import Finding, Suspect, Verdict
from jrecipe.train.fitted import Fit


def blown_up(fit: Fit) -> Finding | None:
    """Returns the finding of a run that stopped for a problem of its own, None if it did not."""
    if not fit.problem:
        return None
    return Finding(
        item="C2",
        check="finite-loss",
        verdict=Verdict.FAILED,
        evidence={"step": fit.steps},
        finding=f"Training stopped: {fit.problem}.",
        remedy="Use a lower learning rate, or see what `jrecipe check` finds.",
        suspects=(
            Suspect(cause="not-finite", component="optimizer", why="the loss was finite at first"),
        ),
    )
