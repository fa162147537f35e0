"""A2: what of a data set could not be read - files, lines, targets, classes - and where it is.

Loaders find it while they read, so there is nothing to measure here, only to judge. It is a check
of data sets; a task in memory has been read already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.data.damage import Damage, What, first_of
from jrecipe.figures import Table

ITEM, CHECK = "A2", "corrupt"
SHOWN = 2000  # rows of the table of places
NAMED = 3  # places in the sentence


class _Kind(NamedTuple):
    """How one kind of damage is told: one piece, several, and the cause it suspects."""

    one: str
    several: str
    cause: str
    component: str


_KINDS: dict[What, _Kind] = {
    "file": _Kind("file is damaged", "files are damaged", "damaged-file", "data"),
    "line": _Kind("line is damaged", "lines are damaged", "damaged-line", "data"),
    "target": _Kind("target cannot be used", "targets cannot be used", "unusable-target", "labels"),
    "column": _Kind("column is constant", "columns are constant", "constant-feature", "data"),
    "class": _Kind("class has no examples", "classes have no examples", "missing-class", "labels"),
}


def judge_damage(damage: Sequence[Damage], examples: int) -> tuple[Finding, ...]:
    """Judges what a loader left out.

    Args:
      damage: every damaged piece, in the order of reading; `Splits.damage`.
      examples: how many were read, of all splits together.

    Returns:
      One finding per kind of damage: FAILED if training refuses any of it, else WARNED. Nothing
      where there is no damage; a class that is the only one is for A3 to judge.
    """
    kinds = list(dict.fromkeys(piece.what for piece in damage))
    return tuple(
        _finding(kind, [piece for piece in damage if piece.what == kind], examples)
        for kind in kinds
        if kind in _KINDS
    )


def _finding(what: What, damage: Sequence[Damage], examples: int) -> Finding:
    kind, count = _KINDS[what], len(damage)
    stops = any(piece.stops for piece in damage)
    share = count / (count + examples)
    said = f"{count} {kind.one if count == 1 else kind.several}"
    if what not in ("class", "column"):
        most = "that is most of the data, only " if share > 0.5 else ""
        said += f"; {most}{examples} example{' was' if examples == 1 else 's were'} read"
    remedies = list(dict.fromkeys(piece.fix for piece in damage))[:3]
    remedy = "; ".join(remedies)
    remedy = f"{remedy[:1].upper()}{remedy[1:]}. "
    remedy += "Training refuses this data until then." if stops else "Training does without."
    places = f" (the first {SHOWN} of {count})" if count > SHOWN else ""
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.FAILED if stops else Verdict.WARNED,
        evidence={f"damaged_{what}": count, "examples_read": examples, "damaged_share": share},
        finding=f"{said}. {first_of(damage, NAMED)}.",
        remedy=remedy,
        suspects=(
            Suspect(
                cause=kind.cause,
                component=kind.component,
                where=damage[0].place,
                why=damage[0].reason + (f", and {count - 1} more" if count > 1 else ""),
            ),
        ),
        figures=(
            Table(
                title=f"What is damaged{places}",
                columns=("place", "what is wrong", "what to do"),
                rows=[(piece.place, piece.reason, piece.fix) for piece in damage[:SHOWN]],
            ),
        ),
    )
