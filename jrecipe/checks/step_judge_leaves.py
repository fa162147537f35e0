"""Judges which leaves of the parameters moved: every one must, but for the frozen ones (G15)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.equal_units import copies, many_copies
from jrecipe.checks.step_trouble import Trouble


def judge_leaves(
    names: Sequence[str],
    frozen: Sequence[bool],
    moved: Sequence[bool],
    *,
    steps: int,
    gradients: Sequence[float] | None,
    visible: Sequence[bool],
    component: str = "step",
) -> list[Trouble]:
    """Judges which leaves moved.

    Args:
      names: paths of the leaves.
      frozen: those declared to stay.
      moved: those of which some bit changed.
      steps: updates that were made.
      gradients: root mean square of the gradient of each leaf, None if unknown.
      visible: whether a movement as large as those of other leaves would show beside the values of
        the leaf, rounded as they are.
      component: where the fault would be.
    """
    troubles = [
        Trouble(
            certain=True,
            cause="frozen-parameters-move",
            component="optimizer",
            where=name,
            why=f"{name} is declared frozen and changed within {steps} updates",
        )
        for name, still, did in zip(names, frozen, moved, strict=True)
        if still and did
    ]
    free = [i for i, still in enumerate(frozen) if not still]
    if free and not any(moved[i] for i in free):
        if gradients is not None and not any(gradients[i] > 0 for i in free):
            return troubles  # no gradient to move by: gradient-flow's business
        troubles.append(
            Trouble(
                certain=True,
                cause="parameters-frozen",
                component=component,
                where="every parameter",
                why=f"no parameter changed by a bit in {steps} updates on different batches",
            )
        )
        return troubles
    largest = max((gradients[i] for i in free), default=0.0) if gradients is not None else 0.0
    for i in free:
        if moved[i] or not visible[i]:
            continue
        if gradients is not None and gradients[i] <= 1e-7 * largest:
            continue
        said = "" if gradients is None else f" although its gradient is {gradients[i]:.2g}"
        troubles.append(
            Trouble(
                certain=gradients is not None,
                cause="leaf-not-in-optimizer",
                component="optimizer",
                where=names[i],
                why=f"{names[i]} did not change by a bit in {steps} updates{said}",
            )
        )
    return troubles


def judge_copied_units(
    names: Sequence[str], start: Sequence[np.ndarray], end: Sequence[np.ndarray]
) -> list[Trouble]:
    """Judges units that start as copies of others and move as they do.

    Args:
      names: paths of the leaves.
      start: their values before any update, in their own shapes.
      end: the same after some updates.
    """
    stuck = []
    for name, before, after in zip(names, start, end, strict=True):
        if not many_copies(before) or np.array_equal(before, after):
            continue
        groups = copies(before)
        twins = np.flatnonzero(groups != np.arange(len(groups)))
        moved = np.abs(after.astype(np.float64) - before).max()
        apart = np.abs(after[..., twins].astype(np.float64) - after[..., groups[twins]]).max()
        if apart <= 1e-3 * moved:
            stuck.append(name)
    if not stuck:
        return []
    where = ", ".join(stuck[:4])
    return [
        Trouble(
            certain=True,
            cause="init-symmetric",
            component="init",
            where=where,
            why=f"units of {where} start as copies of others and move exactly as they do",
        )
    ]
