"""G19: Is each layer on a good scale, with a non-linearity between?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G19", "layers"


def check_layers(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G19)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
