"""A2: Does a number far from all others stand for a missing value?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "A2", "sentinels"


def check_sentinels(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (A2)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
