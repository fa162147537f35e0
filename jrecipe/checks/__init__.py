"""Checks: one recipe item per file, measured first and then judged."""

from jrecipe.checks.context import Context
from jrecipe.checks.registry import CHECKS, Check, run_checks, select
from jrecipe.checks.result import CAUSES, COMPONENTS, Finding, Suspect, Verdict

__all__ = [
    "CAUSES",
    "CHECKS",
    "COMPONENTS",
    "Check",
    "Context",
    "Finding",
    "Suspect",
    "Verdict",
    "run_checks",
    "select",
]
