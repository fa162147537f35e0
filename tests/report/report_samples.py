"""A report with every kind of verdict, figure and hostile text."""

from __future__ import annotations

from typing import Any

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Bars, Curves, Histograms, Matrix, Pictures, Table
from jrecipe.report import Report, Section

HOSTILE = "<script>alert(\"x\")</script> [red]{{ 7*7 }} & 'q' <img src=http://example.org/x>"
FIGURES = (
    Curves(title=HOSTILE, lines={"train": [3, 2, 1], "val": [3, 2.5, 2]}, levels={"floor": 1.0}),
    Pictures(
        title="pictures",
        images=np.linspace(0, 1, 640).reshape(10, 8, 8),
        captions=[HOSTILE] * 10,
        good=[True, False] * 5,
    ),
    Matrix(title="matrix", values=np.eye(40), rows=list("ab") * 20, columns=list("cd") * 20),
    Matrix(title="matrix", values=np.eye(3), rows=list("abc"), columns=list("abc")),
    Bars(title="bars", values={"one": 1.0, HOSTILE: 2.0}, intervals={"one": (0.5, 1.5)}),
    Histograms(
        title="histograms",
        counts=[np.arange(48)] * 7,
        edges=[np.linspace(-1, 1, 49)] * 7,
        captions=[HOSTILE] * 7,
        notes=["n" * 90] * 7,
        good=[True, False] * 3 + [True],
    ),
    Table(title="table", columns=["a" * 40] * 9, rows=[["b" * 40] * 9]),
)


def finding(verdict: Verdict, **fields: Any) -> Finding:
    return Finding(
        **{"item": "B1", "check": "a-check", "verdict": verdict, "finding": "Seen.", **fields}
    )


def sample(**fields: Any) -> Report:
    findings = (
        finding(Verdict.PASSED, item="B12", figures=FIGURES),
        finding(Verdict.SKIPPED, item="B12", check="y" * 90, finding="\u202e" + "w" * 500),
        finding(Verdict.WARNED, item="A3", finding=HOSTILE, remedy=HOSTILE, figures=FIGURES),
        finding(
            Verdict.FAILED,
            item="B4",
            finding="Loss at init is 23.0; it should be 2.3.",
            remedy="Divide by 10.",
            evidence={"loss": 23.0, "bad": float("nan"), "nothing": None, HOSTILE: HOSTILE},
            suspects=(
                Suspect(cause="loss-scale", component="loss", where="head", why=HOSTILE),
                Suspect(cause="init-scale", component="init", where="p" * 200),
            ),
        ),
    )
    whole: dict[str, Any] = {
        "task": HOSTILE,
        "findings": findings,
        "sections": (Section(title=HOSTILE, text=(HOSTILE, "x" * 300), figures=FIGURES),),
        "facts": {"command": ["jrecipe", "cook", HOSTILE], "seed": 0, "versions": {"jax": "0.10"}},
        "test": {"accuracy": 0.9, "loss": 0.25, "n": 360},
    }
    return Report(**{**whole, **fields})
