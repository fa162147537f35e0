"""The result of a command on standard output."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from jrecipe.cli.stop import FAILED
from jrecipe.types import RecipeWarning, one_line

if TYPE_CHECKING:
    from jrecipe.report import Report


def print_report(report: Report, *, as_json: bool, quiet: bool) -> None:
    """Prints a report as text, or as JSON and nothing else."""
    from jrecipe.report import show

    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        show(report, quiet=quiet)


@contextlib.contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Prints our own warnings as lines of the command line; others stay as they are."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, RecipeWarning):
            click.echo(f"jrecipe: warning: {one_line(str(message))}", err=True)
        else:
            before(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        warnings.simplefilter("always", RecipeWarning)
        warnings.showwarning = show
        yield


def print_place(folder: Path, *, as_json: bool) -> None:
    """Prints where the page is, as the last line."""
    if not as_json:
        click.echo(f"Report: {folder / 'report.html'}")


def code_of(report: Report) -> int:
    """Returns the exit code: 1 if a check failed."""
    return 0 if report.ok else FAILED


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table: folded to the width of a terminal, tab-separated in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        for row in (columns, *rows):
            click.echo("\t".join(row))
        return
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
