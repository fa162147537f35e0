"""The report of `jrecipe finetune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.cli.saving import versions
from jrecipe.figures import Table
from jrecipe.finetune import FineTuned, Sweep
from jrecipe.finetune.hindsight import look_back, pitfalls_of
from jrecipe.finetune.scores.found import Found
from jrecipe.report import Report, Section

_CAUSES = {  # of a pitfall: cause and component
    "forgetting": ("learning-rate-too-high", "optimizer"),
    "over-fitting": ("overfitting", "model"),
    "too-few-epochs": ("learning-rate-too-low", "schedule"),
}


def report_of(
    tuned: FineTuned,
    test: Any,
    tried: Sweep | None,
    command: str,
    said: Mapping[str, Sequence[str]],
) -> Report:
    """Returns findings, story and facts of a run.

    Args:
      tuned: the run.
      test: scores on the test rows, or None.
      tried: what a sweep tried, or None.
      command: that made it.
      said: what was cut, dropped or empty, by split.
    """
    seen = look_back(tuned, swept=tried is not None)
    findings = list(tuned.findings)
    for pitfall in pitfalls_of(seen):
        known = _CAUSES.get(pitfall.code)
        suspects = () if known is None else (Suspect(cause=known[0], component=known[1]),)
        findings.append(
            Finding(
                item="J7",
                check=pitfall.code,
                verdict=Verdict.WARNED if known else Verdict.SKIPPED,
                finding=pitfall.finding[0].upper() + pitfall.finding[1:],
                remedy=pitfall.remedy[0].upper() + pitfall.remedy[1:],
                suspects=suspects,
                evidence={"features kept": seen.kept, "learning rate": seen.rate},
            )
        )
    if not any(pitfall.code in _CAUSES for pitfall in pitfalls_of(seen)):
        findings.append(
            Finding(
                item="J7",
                check="hindsight",
                verdict=Verdict.PASSED,
                finding=f"Features kept a cosine of {seen.kept:.2f} with those before, and the "
                f"validation loss ended at {seen.val_loss[-1]:.3f}.",
                evidence={"features kept": seen.kept, "validation loss": seen.val_loss[-1]},
            )
        )
    sections = [
        Section(
            title="Data",
            text=(
                f"{len(tuned.train.source):,} training and {len(tuned.val.source):,} validation "
                f"rows of tokens, read in {tuned.reading_seconds:.1f} s.",
                *(f"{split.capitalize()}: {note}" for split in said for note in said[split]),
            ),
        )
    ]
    if tried is not None:
        sections.append(
            Section(
                title="Sweep",
                text=("Time ended it early." if tried.cut else "All was tried.",),
                table=Table(
                    title="Trials",
                    columns=("rate", "batch", "epochs", "rows", tried.measure),
                    rows=tuple(
                        (
                            f"{t.rate:g}",
                            str(t.plan.batch_size),
                            str(t.plan.epochs),
                            str(t.rows),
                            f"{t.score:.3f}",
                        )
                        for t in tried.trials
                    ),
                ),
            )
        )
    kept = (
        "The state after the last update is kept."
        if tuned.kept == "last"
        else f"The state after {tuned.fit.best_step} updates is kept, which scores better than the "
        "last."
    )
    sections.append(
        Section(
            title="Training",
            text=(
                str(tuned.fit),
                f"Strategy: {tuned.strategy.name}. {tuned.strategy.why}".strip(),
                kept,
            ),
            figures=(tuned.fit.curves(),),
        )
    )
    text = [f"Validation: {line}" for line in str(tuned.scores).splitlines()[:1]]
    if test is not None:
        text.append(f"Test: {str(test).splitlines()[0]}")
    split, shown = ("Validation", tuned.scores) if test is None else ("Test", test)
    sections.append(Section(title="Scores", text=tuple(text), table=_of_classes(split, shown)))
    kind = tuned.predictor.kind
    facts = {
        "command": command,
        "task": kind.name,
        "seed": tuned.plan.seed,
        "strategy": tuned.strategy.name,
        "learning rate": tuned.strategy.rate,
        "epochs": tuned.plan.epochs,
        "batch size": tuned.plan.batch_size,
        "updates": tuned.fit.steps,
        "seconds": round(tuned.fit.seconds, 1),
        "versions": versions(),
    }
    return Report(
        task=kind.name,
        findings=tuple(findings),
        sections=tuple(sections),
        facts=facts,
        test=None if test is None else {kind.measure: float(np.float64(kind.headline(test)))},
    )


def _of_classes(split: str, scores: Any) -> Table | None:
    """Returns how well each class or type is found, where there are some."""
    parts: Mapping[str, Found] | None = getattr(scores, "parts", None)
    if parts is None:
        return None
    return Table(
        title=f"{split}, each class",
        columns=("class", "precision, %", "recall, %", "F1, %", "examples"),
        rows=tuple(
            (
                name,
                *(f"{100 * share:.1f}" for share in (found.precision, found.recall, found.f1)),
                f"{found.n:,}",
            )
            for name, found in parts.items()
        ),
    )
