"""A run that never beat the network it began with, as a finding (C2)."""

from __future__ import annotations

import numpy as np

from jrecipe.checks import Finding, Suspect, Verdict
from jrecipe.train.fitted import Fit

_LOOKS = 3  # at the validation split, before anything is said


def never_better(fit: Fit) -> Finding | None:
    """Returns a warning if no look after the first update was as good as the one before it.

    What is kept of such a run, and predicts, is the network as it was at the beginning. None is
    returned where it got better, stopped for a problem of its own, or looked fewer than three
    times.
    """
    seen = fit.history["val_loss"]
    steps = fit.history.steps("val_loss")
    later = seen[(steps > 0) & np.isfinite(seen)]
    if fit.problem or fit.best_step > 0 or len(later) < _LOOKS or not np.any(steps == 0):
        return None
    first, least = float(seen[steps == 0][0]), float(later.min())
    return Finding(
        item="C2",
        check="better-than-begun",
        verdict=Verdict.WARNED,
        evidence={"first": first, "least": least, "looks": len(later)},
        finding=(
            f"The validation loss was never below the {first:.4g} before the first update (least "
            f"{least:.4g} in {len(later)} looks): what is kept is the network it began with."
        ),
        remedy=(
            "Use a lower learning rate, or see what `jrecipe check` finds. If the network was "
            "trained before, it forgets."
        ),
        suspects=(
            Suspect(
                cause="learning-rate-too-high",
                component="optimizer",
                why=f"the loss rose from {first:.4g}",
            ),
        ),
    )
