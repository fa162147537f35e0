"""Becoming one with the data: every example in a table, its copies, what a probe makes of it.

`jr.inspect(data)` gives the table, `jrecipe inspect` the report with the page to explore it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jrecipe.explore.answered import predicted
    from jrecipe.explore.data import Data, data_of
    from jrecipe.explore.examples import Column, Examples
    from jrecipe.explore.findings import copies_csv, findings_of, suspects_csv
    from jrecipe.explore.needed import needs_of
    from jrecipe.explore.needs import needs_figures
    from jrecipe.explore.page import fragment, render
    from jrecipe.explore.surveying import Survey, inspect, survey
    from jrecipe.explore.suspects import find_suspects

_NAMES = {
    "Column": "examples",
    "Data": "data",
    "Examples": "examples",
    "Survey": "surveying",
    "copies_csv": "findings",
    "data_of": "data",
    "find_suspects": "suspects",
    "findings_of": "findings",
    "fragment": "page",
    "inspect": "surveying",
    "needs_figures": "needs",
    "needs_of": "needed",
    "predicted": "answered",
    "render": "page",
    "suspects_csv": "findings",
    "survey": "surveying",
}
__all__ = [
    "Column",
    "Data",
    "Examples",
    "Survey",
    "copies_csv",
    "data_of",
    "find_suspects",
    "findings_of",
    "fragment",
    "inspect",
    "needs_figures",
    "needs_of",
    "predicted",
    "render",
    "survey",
    "suspects_csv",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        module = importlib.import_module(f"jrecipe.explore.{_NAMES[name]}")
        value = getattr(module, name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'jrecipe.explore' has no attribute {name!r}")
