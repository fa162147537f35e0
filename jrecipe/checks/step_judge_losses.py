"""Judges losses along the updates: those a step reports, and whether it lowers its own (G15)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.step_trouble import Trouble


def judge_reported(
    reported: Sequence[float | None], expected: Sequence[float], *, batch: int, width: int
) -> list[Trouble]:
    """Judges the loss that a step reports.

    Only one and the same factor in every update is held against it: a loss may contain a penalty or
    be a moving average, and may be told in bits.

    Args:
      reported: of each update, None if there was none.
      expected: mean loss of each batch at the weights before the update.
      batch: number of examples of a batch.
      width: number of outputs of an example.
    """
    pairs = [(r, e) for r, e in zip(reported, expected, strict=False) if r is not None]
    if len(pairs) < 3 or not all(np.isfinite(e) and abs(e) > 1e-3 for _, e in pairs):
        return []
    r, e = (np.array(x, np.float64) for x in zip(*pairs, strict=True))
    ratio = r / e
    why = ""
    if np.ptp(e) > 1e-2 * abs(e.mean()) and np.ptp(r) == 0:
        why = f"every update reports a loss of {r[0]:.4g}, while the batches have " + ", ".join(
            f"{x:.4g}" for x in e
        )
    plain = {"-1": -1.0, "the batch size": float(batch), "1/batch size": 1.0 / batch}
    if width > 1:
        plain |= {"the number of outputs": float(width), "1/number of outputs": 1.0 / width}
    for name, value in plain.items():
        if value != 1.0 and np.all(np.abs(ratio / value - 1) < 5e-3):
            why = f"steps report {ratio.mean():.4g} times the mean loss of their batch, {name}"
    constant = np.ptp(ratio) < 1e-4 * abs(ratio.mean()) and np.ptp(e) > 1e-2 * abs(e.mean())
    bits = abs(ratio.mean() * np.log(2) - 1) < 1e-3
    if not why and constant and abs(ratio.mean() - 1) > 1e-2 and not bits:
        why = f"steps report {ratio.mean():.4g} times the mean loss of their batch, each time"
    if not why:
        return []
    return [
        Trouble(
            certain=False,
            cause="loss-reported-wrong",
            component="step",
            where='metrics["loss"]',
            why=why,
        )
    ]


def judge_descent(
    losses: Sequence[float], slope: float | None, size: float, *, frozen: bool
) -> list[Trouble]:
    """Judges whether updates on one batch lower its loss, where no gradient is known.

    Args:
      losses: of the batch, at the start and after each update on it.
      slope: how the loss changes along the first update, per length of it; None if unknown.
      size: length of the first update relative to that of the parameters.
      frozen: nothing moves, so nothing can be said.
    """
    if frozen or len(losses) < 3 or not np.all(np.isfinite(losses)):
        return []
    rises = np.diff(losses) > 0
    if not (np.all(rises) and losses[-1] > losses[0] + 1e-3 * abs(losses[0])):
        return []
    if slope is not None and slope <= 0:
        return []
    small = size < 0.1 or slope is not None
    return [
        Trouble(
            certain=slope is not None,
            cause="wrong-sign" if small else "learning-rate-too-high",
            component="step" if small else "optimizer",
            where="",
            why=f"{len(rises)} updates on one batch raise its loss each time, from "
            f"{losses[0]:.4g} to {losses[-1]:.4g}",
        )
    ]
