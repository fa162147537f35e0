"""G3: Is the loss a sound one for these outputs and targets?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G3", "loss-function"


def check_loss_function(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G3)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
