"""G1: Do targets follow when augmentation moves the inputs?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G1", "augmentation-aligned"


def check_augmentation_aligned(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G1)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
