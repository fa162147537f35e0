"""A report on the console: the answer first, then what is wrong, then the rest."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import IO, NamedTuple

from jrecipe.checks.result import Finding, Verdict
from jrecipe.draw.text import clean
from jrecipe.report.items import item_name
from jrecipe.report.report import Report
from jrecipe.report.wording import command_line, scores

_STYLES = {
    Verdict.FAILED: "bold red",
    Verdict.WARNED: "bold yellow",
    Verdict.SKIPPED: "dim",
    Verdict.PASSED: "green",
}
_MARGIN = 9  # columns for the verdict


class _Row(NamedTuple):
    """A word in the margin and what it is about; a blank line if both are empty."""

    margin: str = ""
    bold: str = ""
    text: str = ""
    style: str = ""  # of the margin
    dim: bool = False


def show(report: Report, *, quiet: bool = False, file: IO[str] | None = None) -> None:
    """Prints a report: in colour and folded on a terminal, as plain lines into a pipe or a file.

    Args:
      report: what to print. Its texts are printed as they are, never read as markup.
      quiet: only the answer, and what failed or warned.
      file: where to; by default standard output.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=file, highlight=False, soft_wrap=False)
    rows = list(_rows(report, quiet=quiet))
    if not console.is_terminal:
        stream = file or sys.stdout
        encoding = getattr(stream, "encoding", None) or "utf-8"
        text = _plain(rows) + "\n"
        # A pipe in an old code page must not end a run that took an hour.
        stream.write(text.encode(encoding, "replace").decode(encoding))
        return
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=_MARGIN - 2)
    grid.add_column(overflow="fold")
    for row in rows:
        body = Text.assemble((row.bold, "bold"), Text(row.text))
        if row.dim:
            body.stylize("dim")
        grid.add_row(Text(row.margin, row.style), body)
    console.print(grid)


def plain_text(report: Report) -> str:
    """Returns the whole report as plain text, the answer first, worst finding first."""
    return _plain(list(_rows(report, quiet=False)))


def _plain(rows: list[_Row]) -> str:
    return "\n".join(f"{row.margin:<{_MARGIN}}{row.bold}{row.text}".rstrip() for row in rows)


def _rows(report: Report, *, quiet: bool) -> Iterator[_Row]:
    word, style = _answer(report)
    yield _Row(word, f"{clean(report.task)}: ", clean(report.headline()), style)
    listed = report.worst_first()
    for lead, *others in report.by_cause():
        yield _Row()
        yield _finding(lead)
        if lead.remedy:
            yield _Row("", "Try: ", clean(lead.remedy))
        yield from _suspects(lead)
        yield from map(_finding, others)
    if quiet:
        return
    for verdict in (Verdict.SKIPPED, Verdict.PASSED):
        if report.count(verdict):
            yield _Row()
        yield from (_finding(finding) for finding in listed if finding.verdict is verdict)
    if report.test:
        yield _Row()
    for name, value, note in scores(report.test):
        yield _Row("", f"{name}: ", value + (f" ({note})" if note else ""))
    command = command_line(report.facts.get("command"))
    if command:
        yield _Row()
        yield _Row("", "Run again: ", clean(command))


def _answer(report: Report) -> tuple[str, str]:
    if not report.ok:
        return "FAILED", _STYLES[Verdict.FAILED]
    if report.count(Verdict.WARNED):
        return "WARNED", _STYLES[Verdict.WARNED]
    return ("PASSED" if report.findings else "DONE"), "bold green"


def _finding(finding: Finding) -> _Row:
    name = clean(f"{finding.item} {item_name(finding.item, finding.check)}")
    skipped = finding.verdict is Verdict.SKIPPED
    return _Row(
        finding.verdict.value,
        f"{name}: ",
        clean(finding.finding),
        _STYLES[finding.verdict],
        dim=skipped,
    )


def _suspects(finding: Finding) -> Iterator[_Row]:
    for suspect in finding.suspects[:3]:
        where = f" at {suspect.where}" if suspect.where else ""
        why = f": {suspect.why}" if suspect.why else ""
        see = f" (see {suspect.see})" if suspect.see else ""
        text = clean(f"{suspect.cause} in {suspect.component}{where}{why}{see}")
        yield _Row("", "Suspect: ", text)
