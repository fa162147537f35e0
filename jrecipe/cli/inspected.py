"""What `jrecipe inspect` finds: what cannot be read of the data, and the checks of the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from jrecipe.checks import Check, Finding, Verdict, select
from jrecipe.checks.damaged import judge_damage
from jrecipe.checks.registry import silence
from jrecipe.data import Splits
from jrecipe.recipe import build_task, check, suggest_plan
from jrecipe.report import Report
from jrecipe.task import Task


def look(
    what: Task | Splits,
    *,
    seed: int,
    ignore: Iterable[str],
    command: str,
    progress: Callable[[Check], None],
) -> Report:
    """Judges what of a data set is damaged, and runs the checks of stage "inspect" on the rest.

    With too few examples for three splits, or a single one to train on, nothing can be compared,
    and every check is SKIPPED.

    Args:
      what: a task, or a data set that was loaded with `skip_damaged`.
      seed: decides what is drawn.
      ignore: codes of causes, items or names to silence.
      command: what the report shows for repeating it.
      progress: called with each check before it runs.
    """
    entries = select(stage="inspect")
    silenced = tuple(ignore)
    damaged: tuple[Finding, ...] = ()
    if isinstance(what, Splits):
        sources = {"train": what.train, "val": what.val, "test": what.test}
        examples = {name: len(source) for name, source in sources.items()}
        damaged = tuple(
            silence(finding, silenced)
            for finding in judge_damage(what.damage, sum(examples.values()))
            if finding.item not in silenced and finding.check not in silenced
        )
        if not all(examples.values()) or examples["train"] < 2:
            facts = {"command": command, "seed": seed, "examples": examples}
            skipped = _too_few(entries, examples)
            return Report(task=what.name, findings=(*damaged, *skipped), facts=facts)
        what = build_task(what, suggest_plan(what))
    report = check(
        what,
        seed=seed,
        only=[entry.item for entry in entries],
        ignore=silenced,
        command=command,
        progress=progress,
    )
    return dataclasses.replace(report, findings=(*damaged, *report.findings))


def _too_few(entries: Iterable[Check], examples: Mapping[str, int]) -> tuple[Finding, ...]:
    """Returns every check as SKIPPED; `examples` of each split."""
    whole = all(examples.values())
    total = examples["train"] if whole else sum(examples.values())
    what = f"{'training ' if whole else ''}example{' is' if total == 1 else 's are'}"
    said = f"{total} {what} too few: nothing can be compared."
    return tuple(
        Finding(
            item=entry.item,
            check=entry.name,
            verdict=Verdict.SKIPPED,
            evidence={f"{split}_rows": rows for split, rows in examples.items()},
            finding=said,
        )
        for entry in entries
    )
