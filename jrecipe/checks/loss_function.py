"""G3: the loss alone, as a function of outputs and targets - is it a sound one?

Nothing is trained. The loss is asked about outputs that are drawn where the network's outputs can
lie, with real targets: does it depend on both, has it a lowest value, does its gradient point
uphill, is there a gradient wherever there is something to gain, is an example worth the same in a
smaller batch. Then whether the outputs can reach the targets at all (`loss_range`), whether padding
counts (`loss_padding`), and whether the loss suits what the targets are (`loss_suits`).
"""

from __future__ import annotations

import math

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.loss_padding import check_padding
from jrecipe.checks.loss_probe import Probe, probe_of
from jrecipe.checks.loss_questions import (
    Answers,
    Cut,
    Downhill,
    Flat,
    Lowest,
    measure_answers,
    measure_cut,
    measure_downhill,
    measure_extreme,
    measure_flat,
    measure_ignored_outputs,
    measure_ignored_targets,
    measure_lowest,
    measure_scale,
    survey,
)
from jrecipe.checks.loss_range import check_range
from jrecipe.checks.loss_suits import check_suits
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree

ITEM, CHECK = "G3", "loss-function"


def judge_flat(flat: Flat) -> Finding | None:
    """Judges a loss that does not depend on the outputs; None if it does.

    Args:
      flat: what was measured.
    """
    evidence = {"share_without_effect": flat.share, "examples": flat.rows, "expected": 0.0}
    result = concluding(ITEM, CHECK, evidence)
    if flat.share >= 0.95:
        return result(
            Verdict.FAILED,
            f"The loss is {flat.value:.4g} whatever the outputs are, for {flat.share:.0%} of the "
            "examples.",
            "Give the network one output per class, or use a loss for its number of outputs: a "
            "softmax over one unit is always 1.",
            Suspect(
                cause="loss-ignores-outputs",
                component="loss",
                where=f"outputs {flat.shape}",
                why=f"outputs drawn at several sizes all have a loss of {flat.value:.4g}",
            ),
        )
    if flat.share >= 0.02 and flat.labels:
        names = ", ".join(str(label) for label in flat.labels[:8])
        return result(
            Verdict.FAILED,
            f"For {flat.share:.0%} of the examples the loss does not depend on the outputs: those "
            f"with target {names}.",
            "Look at how the targets are encoded: a one-hot code that is too short drops them.",
            Suspect(
                cause="loss-ignores-outputs",
                component="loss",
                where=f"targets {names}",
                why=f"all examples with target {names} have a constant loss",
            ),
        )
    return None


def judge_ignored_targets(share: float, rows: int) -> Finding | None:
    """Judges a loss that does not depend on the targets; None if it does.

    Args:
      share: of the examples whose loss keeps its value under another target; NaN if not known.
      rows: examples that were given another target.
    """
    if not share >= 0.95:
        return None
    result = concluding(ITEM, CHECK, {"share_without_effect": share, "examples": rows})
    return result(
        Verdict.FAILED,
        f"The loss does not depend on the targets: {share:.0%} of {rows} examples keep theirs "
        "when they are given another target.",
        "Compare the axis along which the loss normalises and picks with the axis of the classes.",
        Suspect(
            cause="wrong-loss",
            component="loss",
            where="targets",
            why="for drawn outputs, another target gives the same loss",
        ),
    )


def judge_answers(answers: Answers) -> Finding | None:
    """Judges examples for which the right answer is no better than another; None if there are few.

    Args:
      answers: what was measured.
    """
    if answers.share < 0.05 or (answers.share < 0.95 and not answers.labels):
        return None
    names = f"targets {', '.join(answers.labels[:8])}" if answers.labels else "targets"
    result = concluding(
        ITEM, CHECK, {"share_without_effect": answers.share, "examples": answers.rows}
    )
    return result(
        Verdict.FAILED,
        f"For {answers.share:.0%} of the examples the loss of the right answer is that of another "
        f"example's ({names}): what the target is makes no difference.",
        "Look at how the loss picks the output that belongs to a target.",
        Suspect(
            cause="wrong-loss",
            component="loss",
            where=names,
            why="the answers of other targets have exactly the same loss",
        ),
    )


def judge_ignored_outputs(label: int | None) -> Finding | None:
    """Judges a yes/no loss that asks one of the two only; None if it asks both.

    Args:
      label: 0 or 1 if outputs with this label have no part in the loss.
    """
    if label is None:
        return None
    result = concluding(ITEM, CHECK, {"label_without_effect": label})
    return result(
        Verdict.FAILED,
        f"Outputs whose target is {label} have no part in the loss: to answer {1 - label} always "
        "is the best of all.",
        "Add the missing half of the cross-entropy, as in jr.losses.sigmoid_cross_entropy().",
        Suspect(
            cause="loss-ignores-outputs",
            component="loss",
            where=f"targets {label}",
            why=f"other outputs at targets of {label} give exactly the same loss",
        ),
    )


def judge_lowest(lowest: Lowest) -> Finding | None:
    """Judges a loss without a lowest value; None if it has one.

    Args:
      lowest: what was measured.
    """
    result = concluding(
        ITEM,
        CHECK,
        {
            "share_falling_for_ever": lowest.falling,
            "share_rising_for_ever": lowest.rising,
            "share_right_answer_worst": lowest.upside_down,
            "lowest_seen": lowest.value,
            "expected": 0.0,
        },
    )
    upside = lowest.upside_down >= 0.95 and lowest.never_positive
    if not upside and lowest.falling < 0.02:
        return None
    why = f"along its own downhill direction it still falls at {lowest.value:.4g}"
    if upside:
        why = "right answers have a higher loss than wrong ones, and no loss is above 0"
    labels = f"targets {', '.join(lowest.labels[:6])}" if lowest.labels else ""
    place = "sign of the loss" + (f", {labels}" if labels else "")
    sign = Suspect(cause="wrong-sign", component="loss", where=place, why=why)
    unbounded = Suspect(
        cause="loss-unbounded",
        component="loss",
        where=labels or "outputs",
        why=f"for {lowest.falling:.0%} of the examples it falls without end"
        + (f": {labels}" if labels else ""),
    )
    if upside or lowest.reversed >= 0.95 * lowest.falling:
        return result(
            Verdict.FAILED,
            "The loss rewards wrong answers: "
            + (
                "the right ones have the highest loss."
                if upside
                else f"it falls without end for {lowest.falling:.0%} of the examples, and their "
                f"negative does not{f' ({labels})' if labels else ''}."
            ),
            "Look for a forgotten or doubled minus, as in a log-likelihood used as a loss.",
            sign,
            unbounded,
        )
    return result(
        Verdict.FAILED,
        f"The loss has no lowest value: for {lowest.falling:.0%} of the examples it falls without "
        f"end{f' ({labels})' if labels else ''}.",
        "Look for targets outside the range of the loss, as class numbers in a loss for 0 and 1.",
        unbounded,
        sign,
    )


def judge_cut(cut: Cut) -> Finding | None:
    """Judges places without a gradient above the lowest loss; None if there are none.

    Args:
      cut: what was measured.
    """
    result = concluding(
        ITEM,
        CHECK,
        {
            "share_without_gradient": cut.share,
            "share_never_a_gradient": cut.never,
            "flat_from": cut.level,
            "expected": 0.0,
        },
    )
    if cut.never >= 0.5:
        return result(
            Verdict.FAILED,
            f"The loss varies with the outputs, but has no gradient in them for {cut.never:.0%} of "
            "the examples.",
            "Look for stop_gradient, argmax or rounding between the outputs and the loss.",
            Suspect(
                cause="gradient-cut",
                component="loss",
                where="gradient of the loss in the outputs",
                why="its value changes with the outputs and its derivative is 0 everywhere",
            ),
        )
    if cut.share < 0.05:
        return None
    return result(
        Verdict.FAILED,
        f"{cut.share:.0%} of the examples get no gradient where their loss is high, from "
        f"{cut.level:.3g} on: the hardest examples teach nothing.",
        "Clip the gradient, not the loss; guard logarithms at rounding size (1e-7) only.",
        Suspect(
            cause="loss-clipped",
            component="loss",
            where=f"loss of {cut.level:.3g} and more",
            why=f"the gradient is exactly 0 at {cut.level:.3g} and lower losses have one",
        ),
    )


def judge_downhill(downhill: Downhill) -> Finding | None:
    """Judges a gradient that points the wrong way; None if it points uphill, as it should.

    Args:
      downhill: what was measured.
    """
    if downhill.rows == 0 or downhill.against < 0.5:
        return None
    result = concluding(
        ITEM,
        CHECK,
        {
            "share_against": downhill.against,
            "measured_over_claimed_slope": downhill.ratio,
            "expected": 1.0,
        },
    )
    return result(
        Verdict.FAILED,
        f"A small step against the gradient raises the loss, for {downhill.against:.0%} of the "
        f"examples: the measured slope is {downhill.ratio:.2f} times the one that the gradient "
        "claims.",
        "Look at custom derivatives and at stop_gradient in the loss.",
        Suspect(
            cause="wrong-sign",
            component="loss",
            where="gradient of the loss",
            why=f"measured slope over claimed slope is {downhill.ratio:.2f}",
        ),
    )


def judge_scale(value: float, weight: float, rows: int) -> Finding | None:
    """Judges whether an example counts the same in a batch of half the size; None if it does.

    Args:
      value: median of (loss of an example alone in half a batch / in the whole); NaN if unknown.
      weight: the same for its weight.
      rows: examples in the whole batch.
    """
    off = [x for x in (value, weight) if math.isfinite(x) and abs(x - 1.0) > 0.01]
    if not off:
        return None
    what = "loss" if off[0] == value else "weight"
    result = concluding(
        ITEM, CHECK, {"half_over_whole": value, "weight_half_over_whole": weight, "expected": 1.0}
    )
    return result(
        Verdict.FAILED,
        f"The {what} of an example is {off[0]:.3g} times as large among {rows // 2} examples as "
        f"among {rows}.",
        "Give one number per example that depends on this example only: no sum, mean or "
        "normalisation over the batch.",
        Suspect(
            cause="loss-scale",
            component="loss",
            where="axis 0, the batch",
            why=f"half the batch changes the {what} of the same example {off[0]:.3g} times",
        ),
    )


def judge_extreme(share: float, size: float) -> Finding | None:
    """Judges large but finite outputs; None if the loss and its gradient stay finite.

    Args:
      share: of the examples whose loss or gradient is not finite there.
      size: of these outputs.
    """
    if not share > 0.0:
        return None
    result = concluding(ITEM, CHECK, {"share_not_finite": share, "size": size, "expected": 0.0})
    return result(
        Verdict.WARNED,
        f"At outputs of size {size:g} the loss or its gradient is NaN or infinite for {share:.0%} "
        "of the examples.",
        "Use log_softmax, log_sigmoid or logsumexp in place of the logarithm of a softmax.",
        Suspect(
            cause="not-finite",
            component="loss",
            where=f"outputs of size {size:g}",
            why=f"{share:.0%} of the examples are not finite there",
        ),
    )


def check_loss_function(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the loss as a function (G3)."""
    probe = probe_of(context)
    if not probe.differentiable or not probe.outputs or probe.outputs[0].size == 0:
        said = "The outputs are not floating point, so that the loss has no gradient in them."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    task, asked = context.task, survey(probe)
    if not any((x.weight > 0).any() and np.isfinite(x.value).any() for x in asked):
        said = "The loss is finite for no outputs drawn at random; see B4 for the network's own."
        return (Finding(item=ITEM, check=CHECK, verdict=Verdict.SKIPPED, finding=said),)
    flat = measure_flat(probe, asked)
    found: list[Finding | None] = [judge_flat(flat)]
    if flat.share < 0.95:
        if task.examples_independent and len(probe.outputs) == 1:
            found.append(judge_ignored_targets(*measure_ignored_targets(probe)))
            found.append(judge_answers(measure_answers(probe)))
            found.append(judge_ignored_outputs(measure_ignored_outputs(probe)))
        lowest = measure_lowest(probe, asked)
        if task.loss_floor != -math.inf and not (_signed_weights(probe) and lowest.falling < 0.95):
            found.append(judge_lowest(lowest))
        found.append(judge_cut(measure_cut(asked)))
        if found[-1] is None:
            found.append(judge_downhill(measure_downhill(probe)))
        if task.examples_independent:
            found.append(judge_scale(*measure_scale(context, probe), probe.rows))
        found.append(judge_extreme(*measure_extreme(probe)))
        found.extend((check_range(context), *check_suits(context), check_padding(context)))
    alarms = _without_echoes([finding for finding in found if finding is not None])
    if alarms:
        return alarms
    return (
        Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.PASSED,
            finding=f"Asked about {len(asked)} sets of drawn outputs for {probe.rows} examples, "
            "the loss depends on outputs and targets, has a lowest value, and a gradient that "
            "points uphill wherever there is something to gain.",
            evidence={"examples": probe.rows, "sets_of_outputs": len(asked)},
        ),
    )


def _signed_weights(probe: Probe) -> bool:
    """Tells whether the targets carry a factor of both signs, as the advantages of a policy."""
    leaves: PyTree = jax.tree.leaves(probe.targets)
    floats = [np.asarray(x) for x in leaves if np.asarray(x).dtype.kind == "f"]
    return len(leaves) >= 2 and any((x < 0).any() and (x > 0).any() for x in floats)


def _without_echoes(found: list[Finding]) -> tuple[Finding, ...]:
    """Returns one finding per cause, and none that a stronger one explains.

    A loss upside down is also one whose best outputs cannot be reached, and so on.
    """
    strong = {"wrong-sign", "loss-unbounded", "loss-ignores-outputs"}
    causes = [finding.suspects[0].cause for finding in found if finding.suspects]
    if any(cause in strong for cause in causes):
        keep = strong | {"padding-in-loss", "padding-read", "loss-scale"}
        found = [f for f in found if not f.suspects or f.suspects[0].cause in keep]
    seen: set[str] = set()
    kept = []
    for finding in found:
        cause = finding.suspects[0].cause if finding.suspects else ""
        if cause not in seen:
            kept.append(finding)
        seen.add(cause)
    return tuple(kept)
