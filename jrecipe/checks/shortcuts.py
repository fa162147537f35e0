"""A4: Does something trivial predict the target, as the position in the file?"""

from __future__ import annotations

from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Verdict

ITEM, CHECK = "A4", "shortcuts"


def check_shortcuts(context: Context) -> tuple[Finding, ...]:
    """Measures and judges (A4)."""
    del context
    return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding="Not built yet."),)
