"""G15: Does the trainer move the weights as the reference step does?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G15", "reference-step"


def check_reference_step(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G15)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
