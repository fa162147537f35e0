"""G12: Do training and evaluation mode agree once the network is trained?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G12", "train-eval-agree"


def check_train_eval(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G12)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
