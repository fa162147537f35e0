"""A5: How many labels are wrong, and which?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "A5", "label-noise"


def check_label_noise(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (A5)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
