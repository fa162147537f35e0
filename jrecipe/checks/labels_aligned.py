"""G7: Do labels stand beside their own rows?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "G7", "labels-aligned"


def check_labels_aligned(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (G7)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
