"""G18: Does every parameter get a gradient, and does every unit live?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G18", "gradient-flow"


def check_gradient_flow(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G18)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
