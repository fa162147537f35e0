"""B3: Do perfect predictions get the best score?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "B3", "metric"


def check_metric(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (B3)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
