"""Findings and story of a run, as console text, JSON and one self-contained HTML page."""

from jrecipe.report.console import show
from jrecipe.report.report import Report, Section

__all__ = ["Report", "Section", "show"]
