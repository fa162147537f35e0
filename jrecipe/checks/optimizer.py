"""G14: What does the optimiser do with gradients it is given?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G14", "optimizer"


def check_optimizer(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G14)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
