"""B5: init well - the final bias should already give the best constant output.

Where it does not, the first part of training is spent on learning the class shares: the "hockey
stick" of the learning curve. The check measures what the untrained outputs cost above the best
constant, and shows the curve with and without that part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Curves, Figure

ITEM, CHECK = "B5", "init-well"


def judge_init_bias(
    *,
    offset: float,
    floor: float,
    unit: float,
    can_set: bool,
    noise: float = 0.0,
    per_target: float = 0.0,
    share: float = 0.25,
    where: str = "final bias",
    figures: tuple[Figure, ...] = (),
) -> Finding:
    """Judges the average output of the untrained network against the best constant.

    Args:
      offset: loss of the network's average output, taken as a constant.
      floor: loss of the best constant output.
      unit: natural size of a difference in this loss.
      can_set: whether `jr.init_well` found a final bias to set.
      noise: what random weights, not the bias, lawfully add to `offset`: its standard error over
        seeds, as a cost. Four times it is two standard deviations, as the cost is quadratic.
      per_target: numbers in a constant output over number of targets. The best constant fits its
        own targets better than the next by about that share of `unit`.
      share: of `unit` that a bias at 0 may cost. For numbers it is 1: a mean within a deviation of
        0 is soon learned, and nobody sets it.
      where: path of the final bias, if it is known.
      figures: learning curves with and without.
    """
    excess = offset - floor
    limit = (share + per_target) * unit + 4.0 * noise
    evidence = {"average_output": offset, "best_constant": floor, "excess": excess, "limit": limit}
    if excess <= limit:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            evidence=evidence,
            finding=f"The untrained network's average output costs {max(excess, 0.0):.3g} more "
            "than the best constant: the final bias needs nothing.",
            figures=figures,
        )
    way = "jr.init_well(task) sets it" if can_set else "give the last layer a bias that it can set"
    return Finding(
        item=ITEM,
        check=CHECK,
        verdict=Verdict.WARNED,
        evidence=evidence,
        finding=f"The untrained network's average output costs {excess:.3g} more than the best "
        f"constant ({offset:.4g} against {floor:.4g}): training starts by learning the bias.",
        remedy=f"Initialise the final bias from the training targets; {way}.",
        suspects=(
            Suspect(
                cause="head-bias-ignores-prior",
                component="head",
                where=where,
                why=f"a bias of the best constant would save {excess:.3g} at the start",
            ),
        ),
        figures=figures,
    )


def average_output(
    loss: losses.Loss, outputs: np.ndarray, others: Sequence[np.ndarray]
) -> tuple[np.ndarray, float]:
    """Averages untrained outputs over examples and seeds, so that what is left is the bias.

    Random last weights give every network an average output of its own; over seeds that cancels.

    Args:
      loss: for what a spread costs.
      outputs: float[b, ...] of the network.
      others: the same from other seeds.

    Returns:
      The average output float[...], and what its standard error costs. Where all seeds give the
      same outputs, the spread over examples stands in for that over seeds.
    """
    means = np.stack([np.asarray(x, np.float64).mean(axis=0) for x in (outputs, *others)])
    if np.ptp(means, axis=0).max() == 0:
        return means[0], max(loss.spread_cost(outputs), 0.0)
    return means.mean(axis=0), max(loss.spread_cost(means), 0.0) / len(means)


def check_init_bias(context: Context) -> Finding:
    """Measures and judges the initial average output (B5)."""
    law = context.law
    if law is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The loss does not know its best constant output; jr.losses do.",
        )
    loss, scale = law.loss, law.scale
    outputs = np.asarray(context.at_init[2], np.float64)
    if not np.isfinite(outputs).all():
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The untrained outputs are not finite, see B4.",
        )
    average, noise = average_output(loss, outputs, [x for _, x in context.other_inits])
    targets = context.split("train", 50_000)[1]  # type: ignore[index]
    shape = outputs.shape[1:]
    figures: tuple[Figure, ...] = ()
    if not context.foreign:
        arms = context.controls.arms
        lines = {"as it is": arms["real"].train_loss}
        if "well" in arms:
            lines["with the final bias from the targets"] = arms["well"].train_loss
        floor = loss.uninformed(targets, shape)
        figures = (
            Curves(
                title="The first updates, with and without a well initialised final bias",
                lines={name: line[:60] for name, line in lines.items()},
                levels={"best constant output": scale * floor},
                ylabel="loss of the training batch",
            ),
        )
    return judge_init_bias(
        offset=scale * loss.constant_loss(average, targets),
        floor=scale * loss.uninformed(targets, shape),
        unit=scale * loss.unit(targets, shape),
        noise=scale * noise,
        share=1.0 if loss.kind == "number" else 0.25,
        per_target=shape[-1] / len(targets) if shape else 1.0 / len(targets),
        can_set=context.well_initialised is not None,
        where=context.head_bias[0] if context.head_bias else "final bias",
        figures=figures,
    )
