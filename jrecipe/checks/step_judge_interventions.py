"""Judges what an update depends on: its batch, each example, their order and number (G15)."""

from __future__ import annotations

from jrecipe.checks.step_interventions import Interventions
from jrecipe.checks.step_trouble import Trouble


def judge_interventions(found: Interventions, explained: bool, batch: int) -> list[Trouble]:
    """Judges what an update depends on.

    Args:
      found: what was changed and what followed.
      explained: the gradients are known to be right, so the order of the examples needs no test.
      batch: number of examples in the batch.
    """
    if found.batch_ignored:
        where = "batch of an earlier update" if found.earlier_used else ""
        return [
            Trouble(
                certain=True,
                cause="batch-ignored",
                component="step",
                where=where,
                why="an update is the same to the last bit on another batch",
            )
        ]
    if 0 < found.unpaired < 1e-4 and not found.random:
        # To rounding, not to the last bit: a step that reads no targets is another matter.
        return [
            Trouble(
                certain=True,
                cause="loss-depends-on-batch",
                component="step",
                where="axis 0, every output against every target",
                why="an update is the same whichever example has which target, to rounding",
            )
        ]
    troubles = []
    if found.ignored:
        few = ", ".join(map(str, found.ignored[:12])) + (", ..." if len(found.ignored) > 12 else "")
        rows = f"batch rows {few}"
        counted = f"{len(found.ignored)} of {found.tried} examples tried"
        if found.hard:
            low, high = found.threshold
            troubles.append(
                Trouble(
                    certain=True,
                    cause="loss-clipped",
                    component="step",
                    where=f"loss between {low:.3g} and {high:.3g}",
                    why=f"{counted} have no part in the update, all those with a loss of "
                    f"{high:.3g} and more",
                )
            )
        troubles.append(
            Trouble(
                certain=True,
                cause="examples-ignored",
                component="step",
                where=rows,
                why=f"other targets for {rows} leave the update the same to the last bit",
            )
        )
    elif (
        not explained
        and not found.random
        and found.permuted > 0.1
        and found.rotated < 1e-2 * found.permuted
        and batch > 2
    ):
        troubles.append(
            Trouble(
                certain=False,
                cause="labels-shifted",
                component="step",
                where="targets of the batch",
                why="an update changes with the order of the examples "
                f"(by {found.permuted:.2g} of its size), but not if they are rotated",
            )
        )
    return troubles


def judge_duplication(factor: float | None) -> list[Trouble]:
    """Judges how much longer an update is on a batch written twice: 1 for a mean, 2 for a sum."""
    if factor is None or abs(factor - 2.0) > 0.02:
        return []
    return [
        Trouble(
            certain=False,
            cause="loss-scale",
            component="step",
            where="axis 0, the batch",
            why=f"a batch written twice moves the weights {factor:.3g} times as far: the loss is "
            "summed over the examples",
        )
    ]
