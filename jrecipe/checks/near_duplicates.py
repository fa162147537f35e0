"""A1: Are examples of one split nearly those of another?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "A1", "near-duplicates"


def check_near_duplicates(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (A1)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
