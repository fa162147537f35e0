"""B5: init well - the final bias should already give the best constant output.

Where it does not, the first part of training is spent on learning the class shares: the "hockey
stick" of the learning curve. The check measures what the untrained outputs cost above the best
constant, and shows the curve with and without that part.
"""

from __future__ import annotations

import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Curves, Figure

ITEM, CHECK = "B5", "init-well"


def judge_init_bias(
    *, offset: float, floor: float, unit: float, can_set: bool, figures: tuple[Figure, ...] = ()
) -> Finding:
    """Judges the average output of the untrained network against the best constant.

    Args:
      offset: loss of the network's average output, taken as a constant.
      floor: loss of the best constant output.
      unit: natural size of a difference in this loss.
      can_set: whether `jr.init_well` found a final bias to set.
      figures: learning curves with and without.
    """
    excess = offset - floor
    limit = 0.25 * unit
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
                where="final bias",
                why=f"a bias of the best constant would save {excess:.3g} at the start",
            ),
        ),
        figures=figures,
    )


def check_init_bias(context: Context) -> Finding:
    """Measures and judges the initial average output (B5)."""
    loss = context.task.loss
    if not isinstance(loss, losses.Loss):
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The loss does not know its best constant output; jr.losses do.",
        )
    inputs = context.split("train", 512)[0]  # type: ignore[index]
    outputs = np.asarray(context.predict(context.fresh_state(), inputs), np.float64)
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
                levels={"best constant output": floor},
                ylabel="loss of the training batch",
            ),
        )
    return judge_init_bias(
        offset=loss.constant_loss(outputs.mean(axis=0), targets),
        floor=loss.uninformed(targets, shape),
        unit=loss.unit(targets, shape),
        can_set=context.well_initialised is not None,
        figures=figures,
    )
