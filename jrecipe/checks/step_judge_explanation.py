"""Judges what explains the movements of a step: their sign, factors, decay and pairing (G15)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.step_explain import Explanation
from jrecipe.checks.step_judge_hypothesis import judge_hypothesis
from jrecipe.checks.step_trouble import Trouble


def judge_explanation(
    found: Explanation, names: Sequence[str], *, batch: int, width: int
) -> list[Trouble]:
    """Judges what explains the movements.

    Args:
      found: the explanation.
      names: paths of the leaves.
      batch: examples in a batch.
      width: number of outputs of an example, as classes.
    """
    slope = np.array(found.slopes)
    fit, share = found.fit, f"{100 * found.fit.misfit:.2g} % of the movement left unexplained"
    if found.kind and not found.hypothesis:
        return _judge_plain(found, names, batch, width)
    if found.kind:
        named = judge_hypothesis(found, share)
        return [] if named is None else [named]
    troubles = []
    known = slope[slope != 0]
    if len(known) and bool(np.all(known > 0.2)):
        troubles.append(
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where="",
                why=f"every parameter moves up the gradient (cosines from {known.min():.2g})",
            )
        )
    elif len(known) and bool(np.any(known < -0.5)):
        troubles += [
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where=names[i],
                why=f"{names[i]} moves up its gradient (cosine {slope[i]:.2g}), others down",
            )
            for i in np.flatnonzero(slope > 0.5).tolist()
        ]
    if troubles or found.pairing is None:
        return troubles
    shifted = max(found.pairings, key=lambda pair: pair[1], default=("", 0.0))
    if found.pairing < 3.0 and shifted[1] > max(8.0, found.pairing + 5.0):
        return [
            Trouble(
                certain=True,
                cause="labels-shifted",
                component="step",
                where=f"targets {shifted[0]}",
                why=f"the updates follow the targets {shifted[0]} ({shifted[1]:.2g} standard "
                f"deviations over random pairings), not the real ones ({found.pairing:.2g})",
            )
        ]
    if found.pairing < 2.0:
        return [
            Trouble(
                certain=False,
                cause="labels-shifted",
                component="step",
                where="targets of the batch",
                why="the updates follow the batch's own pairs of inputs and targets no more than "
                f"pairs at random ({found.pairing:.2g} standard deviations)",
            )
        ]
    del fit
    return troubles


def _judge_plain(found: Explanation, names: Sequence[str], batch: int, width: int) -> list[Trouble]:
    """Judges gradients that are right, by the factors in front of them."""
    fit = found.fit
    factors = np.array(fit.factors)
    if not len(factors):
        return []
    ratio = float(np.median(factors))
    downhill = ratio if found.kind == "declared" else -ratio
    if downhill < 0:
        return [
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where="",
                why=f"every update is {ratio:.3g} times what it should be, uphill"
                if found.kind == "declared"
                else "every update adds the gradient instead of subtracting it",
            )
        ]
    troubles = []
    if fit.decay and len(fit.decay):
        pull = float(np.median(fit.decay))
        if pull > 1.0:
            troubles.append(
                Trouble(
                    certain=False,
                    cause="decay-dominates",
                    component="optimizer",
                    where="",
                    why=f"the decay of the weights is {pull:.2g} times as large in an update as "
                    "the gradient of the loss",
                )
            )
        elif pull < -0.02:
            troubles.append(
                Trouble(
                    certain=True,
                    cause="decay-coupled",
                    component="optimizer",
                    where="",
                    why=f"weight decay has the wrong sign: it makes weights grow, with "
                    f"{-pull:.2g} times the length of the gradient's part",
                )
            )
    if found.kind == "linear":
        later = [h for h in fit.history if h]
        sums = [all(abs(x - 1.0) < 3e-3 for x in h) for h in later]
        if later and all(sums):
            troubles.append(
                Trouble(
                    certain=True,
                    cause="gradients-accumulate",
                    component="step",
                    where="gradient of earlier batches",
                    why="every update contains the gradients of all earlier batches in full",
                )
            )
        elif later and all(h[0] > 20 for h in later):
            troubles.append(
                Trouble(
                    certain=True,
                    cause="batch-ignored",
                    component="step",
                    where="batch of the update before",
                    why="every update is the gradient of the batch before, not of its own",
                )
            )
    if found.kind != "declared":
        return troubles
    return troubles + _judge_ratio(found, factors, ratio, batch, width)


def _judge_ratio(
    found: Explanation, factors: np.ndarray, ratio: float, batch: int, width: int
) -> list[Trouble]:
    tolerance = max(2 * found.tolerance, 1e-2)
    steady = float(np.ptp(factors)) <= tolerance * abs(ratio)
    if found.clipped and ratio < 0.05:
        return [
            Trouble(
                certain=False,
                cause="clip-always-active",
                component="optimizer",
                where="",
                why="all updates have one length, whatever the gradient is, at "
                f"{ratio:.2g} of the declared one",
            )
        ]
    if not steady or found.clipped or abs(ratio - 1) <= tolerance:
        if steady or found.clipped or found.default:
            return []
        return [
            Trouble(
                certain=False,
                cause="update-differs",
                component="schedule",
                where="",
                why="updates are from "
                f"{factors.min():.3g} to {factors.max():.3g} times the declared ones",
            )
        ]
    plain = {"the batch size": float(batch), "1/batch size": 1.0 / batch}
    if width > 1:
        plain |= {"the number of outputs": float(width), "1/number of outputs": 1.0 / width}
    for name, value in plain.items():
        if abs(ratio - value) <= tolerance * value and not found.default and value != 1.0:
            return [
                Trouble(
                    certain=True,
                    cause="loss-scale",
                    component="step",
                    where="axis 0, the batch" if "batch" in name else "output axis",
                    why=f"every update is {ratio:.4g} times the declared one, which is {name}",
                )
            ]
    if found.default:
        return []
    return [
        Trouble(
            certain=False,
            cause="update-differs",
            component="optimizer",
            where="every parameter",
            why=f"every update is {ratio:.4g} times that of the declared optimiser",
        )
    ]
