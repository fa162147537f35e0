"""Checks: one recipe item per file, measured first and then judged.

`Context` and the registry load when they are first used: reports need only what a finding is.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jrecipe.checks.result import CAUSES, COMPONENTS, Finding, Suspect, Verdict

if TYPE_CHECKING:
    from jrecipe.checks.context import Context
    from jrecipe.checks.registry import CHECKS, Check, run_checks, select

_NAMES = {
    "CHECKS": "registry",
    "Check": "registry",
    "Context": "context",
    "run_checks": "registry",
    "select": "registry",
}
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


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(f"jrecipe.checks.{_NAMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.checks' has no attribute {name!r}")
