"""A report as one self-contained HTML page, and in short for a notebook."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape
from typing import Any

from jrecipe import draw
from jrecipe.checks.result import CAUSES, Finding, Verdict
from jrecipe.draw.text import printable
from jrecipe.figures import Figure
from jrecipe.report.items import STAGES, item_name
from jrecipe.report.report import Part, Report, recipe_order
from jrecipe.report.wording import command_line, fact, fact_name, number, scores

# Told by sign and word as well as by colour.
SIGNS = {
    Verdict.FAILED: ("failed", "✗", "Failed"),
    Verdict.WARNED: ("warned", "!", "Warned"),
    Verdict.SKIPPED: ("skipped", "–", "Skipped"),
    Verdict.PASSED: ("passed", "✓", "Passed"),
}
_TOLD_ON_TOP = ("command",)


def render(report: Report, explorer: Part | None = None) -> str:
    """Returns the report as an HTML page that loads nothing: styles, pictures and icon are inside.

    Every text of the report is shown as text. The page carries a content security policy that
    forbids requests and all scripts but those of the explorer, named by their hashes, so that a
    mistake here could not make one either.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jrecipe.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["raw"] = Markup
    count = 0

    def drawn(figure: Figure) -> Markup:
        nonlocal count
        count += 1
        return Markup(draw.html(figure, prefix=f"f{count}"))

    kind, sign, word = _answer(report)
    findings = report.in_order()
    page = environment.get_template("page.html.j2")
    return page.render(
        report=report,
        kind=kind,
        sign=sign,
        word=word,
        headline=draw.clean(report.headline()),
        icon=_icon(kind),
        figure_style=Markup(draw.STYLE),
        scores=scores(report.test),
        command=command_line(report.facts.get("command")),
        stages=list(_stages(report, findings)),
        groups=list(_groups(report, findings)),
        facts=[
            (fact_name(name), fact(value))
            for name, value in report.facts.items()
            if name not in _TOLD_ON_TOP
        ],
        drawn=drawn,
        explorer=explorer,
    )


def render_compact(report: Report) -> str:
    """Returns the answer and what is wrong as a piece of HTML for a notebook's output cell."""
    kind, sign, word = _answer(report)
    color = {"failed": "#c23b00", "warned": "#9a6700", "passed": "#00795a"}.get(kind, "#777")
    parts = [
        f'<p style="margin:.2em 0"><b style="color:{color}">{sign} {word}</b> '
        f"<b>{_text(report.task)}</b>: {_text(report.headline())}</p>"
    ]
    bad = [f for f in report.in_order() if f.verdict in (Verdict.FAILED, Verdict.WARNED)]
    rest = [f for f in report.in_order() if f not in bad]
    parts += [_line(finding) for finding in bad]
    if rest:
        listed = "".join(_line(finding) for finding in rest)
        parts.append(f"<details><summary>{len(rest)} more findings</summary>{listed}</details>")
    return f'<div style="max-width:48em;overflow-wrap:anywhere">{"".join(parts)}</div>'


def _line(finding: Finding) -> str:
    _, sign, word = SIGNS[finding.verdict]
    name = _text(item_name(finding.item, finding.check))
    remedy = f"<br><i>Try:</i> {_text(finding.remedy)}" if finding.remedy else ""
    return (
        f'<p style="margin:.4em 0 .4em 1em">{sign} {word} <b>{_text(finding.item)} {name}</b>: '
        f"{_text(finding.finding)}{remedy}</p>"
    )


def _text(text: str) -> str:
    return f"<bdi>{escape(draw.clean(text))}</bdi>"


def _answer(report: Report) -> tuple[str, str, str]:
    if not report.findings:
        return "skipped", "–", "Measured" if report.sections else "Nothing checked"
    if not report.ok:
        return SIGNS[Verdict.FAILED]
    if report.count(Verdict.WARNED):
        return "warned", "!", "Passed with warnings"
    return SIGNS[Verdict.PASSED]


def _stages(report: Report, findings: tuple[Finding, ...]) -> Iterator[dict[str, Any]]:
    """Yields the grid: each stage with a tile per item, linked to the item's worst finding."""
    items = report.by_item()
    letters = sorted({recipe_order(item)[0] for item in items})
    for letter in letters:
        tiles = []
        for item, found in items.items():
            if recipe_order(item)[0] != letter:
                continue
            worst = min(found, key=findings.index)
            kind, sign, word = SIGNS[worst.verdict]
            tiles.append(
                {
                    "item": item,
                    "name": item_name(item, worst.check),
                    "kind": kind,
                    "sign": sign,
                    "word": word,
                    "link": f"#finding-{findings.index(worst) + 1}",
                }
            )
        yield {"title": STAGES.get(letter, "Other checks"), "letter": letter, "tiles": tiles}


def _groups(report: Report, findings: tuple[Finding, ...]) -> Iterator[dict[str, Any]]:
    """Yields the findings by cause: what measured it, and what follows from it, folded away."""
    place = 0
    for group in report.by_cause():
        lead, *others = group
        first = lead.suspects[0] if lead.suspects else None
        said = f"{first.cause}: {CAUSES.get(first.cause, first.component)}" if first else ""
        shown = [_shown(place + i, finding) for i, finding in enumerate(group, 1)]
        for follower in shown[1:]:
            follower["open"] = False
        yield {"cause": said if others else "", "findings": shown}
        place += len(group)
    for i, finding in enumerate(findings[place:], place + 1):
        yield {"cause": "", "findings": [_shown(i, finding)]}


def _shown(place: int, finding: Finding) -> dict[str, Any]:
    kind, sign, word = SIGNS[finding.verdict]
    return {
        "id": f"finding-{place}",
        "kind": kind,
        "sign": sign,
        "word": word,
        "item": finding.item,
        "name": item_name(finding.item, finding.check),
        "check": finding.check,
        "text": finding.finding,
        "remedy": finding.remedy,
        "evidence": [
            (draw.clean(name).replace("_", " "), number(value))
            for name, value in finding.evidence.items()
        ],
        "suspects": [
            {
                "cause": suspect.cause,
                "meaning": CAUSES.get(suspect.cause, ""),
                "component": suspect.component,
                "where": suspect.where,
                "why": suspect.why + (f" (see {suspect.see})" if suspect.see else ""),
            }
            for suspect in finding.suspects
        ],
        "figures": list(finding.figures),
        "open": finding.verdict in (Verdict.FAILED, Verdict.WARNED),
    }


def _icon(kind: str) -> str:
    color = {"failed": "#c23b00", "warned": "#e69f00", "passed": "#009e73"}.get(kind, "#888888")
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
        f'<circle cx="8" cy="8" r="7" fill="{color}"/></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()
