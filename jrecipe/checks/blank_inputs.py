"""B7: the input-independent baseline - does the network use its inputs at all?

The same network is trained on blanked inputs and judged on the same validation targets. It can at
best learn the share of each target. The real network has to beat it by more than the noise; and
nothing may beat the best constant output with its eyes shut.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.arms import ArmResult
from jrecipe.checks.context import Context
from jrecipe.checks.intervals import paired_difference
from jrecipe.checks.overfit_batch import few_learned
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Bars
from jrecipe.train.compiled import jit_once
from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.types import PyTree

ITEM, CHECK = "B7", "blank-inputs"


def judge_blank_inputs(
    *,
    gain: float,
    gain_stderr: float,
    real: float,
    blank: float,
    blank_stderr: float,
    shuffled_gap: float,
    shuffled_gap_stderr: float,
    floor: float | None,
    finished: bool,
    metric_gain: float = float("nan"),
    metric_gain_stderr: float = float("nan"),
    best_look: float = 0.0,
    learned: float = 1.0,
    varied: bool = True,
) -> Finding:
    """Judges the real network against the one with blank inputs.

    Args:
      gain: mean of (blank loss - real loss) over validation examples.
      gain_stderr: its standard error.
      real: validation loss with real inputs.
      blank: validation loss with blank inputs.
      blank_stderr: its standard error.
      shuffled_gap: mean of (loss trained on shuffled labels - real loss).
      shuffled_gap_stderr: its standard error.
      floor: loss of the best constant output on the validation targets; None if unknown.
      finished: whether training had the time it was meant to have.
      metric_gain: mean of (metric with real inputs - with blank ones); NaN without a metric. An
        overconfident network can lose in loss what it wins in accuracy.
      metric_gain_stderr: its standard error.
      best_look: largest gain during training, in standard errors over a fixed batch: a network that
        overfits, or a density that is overconfident, is at its best before the end. Four are asked
        for, not three, as it is the best of some twenty looks.
      learned: share of the way to their floor that a few examples went (B8). A network that cannot
        learn even these says nothing about its inputs.
      varied: whether the trained network gives different answers to different inputs.
    """
    evidence = {
        "real": real,
        "blank": blank,
        "gain": gain,
        "gain_stderr": gain_stderr,
        "gain_over_shuffled_labels": shuffled_gap,
        "best_constant": floor,
        "metric_gain": metric_gain,
        "metric_gain_stderr": metric_gain_stderr,
        "few_examples_learned": learned,
        "outputs_vary": varied,
    }

    result = concluding(ITEM, CHECK, evidence)

    if floor is not None and np.isfinite(blank) and blank < floor - 4 * max(blank_stderr, 1e-6):
        return result(
            Verdict.FAILED,
            f"With blank inputs the loss is {blank:.4g}; the best constant output has {floor:.4g}.",
            "The labels reach the network by another way than its inputs: look for a leak.",
            Suspect(
                cause="label-leak",
                component="data",
                why=f"{blank:.4g} cannot be reached without knowing the labels ({floor:.4g})",
            ),
        )
    if gain > 3 * gain_stderr:
        return result(
            Verdict.PASSED,
            f"Real inputs bring the validation loss to {real:.4g}, blank ones to {blank:.4g}: "
            f"the inputs are worth {gain:.3g} +- {gain_stderr:.2g}.",
        )
    if not finished:
        return result(
            Verdict.SKIPPED,
            "Training was cut short by its time budget before real inputs could tell; use "
            "--budget full.",
        )
    if metric_gain > 3 * metric_gain_stderr:
        return result(
            Verdict.PASSED,
            f"Real inputs raise the validation metric by {metric_gain:.3g} +- "
            f"{metric_gain_stderr:.2g} over blank ones, though the loss is no lower "
            f"({real:.4g} against {blank:.4g}).",
        )
    if best_look > 4:
        return result(
            Verdict.PASSED,
            f"Real inputs beat blank ones during training by {best_look:.1f} standard errors, and "
            f"no longer at its end ({real:.4g} against {blank:.4g}): it overfits.",
        )
    if np.isfinite(real) and not np.isfinite(blank):
        return result(
            Verdict.SKIPPED, "Trained on blank inputs the loss is not finite; nothing to compare."
        )
    if not learned >= 0.02 or (varied and learned < 0.5):
        return result(
            Verdict.SKIPPED,
            "Real inputs do no better than blank ones, but then not even a few examples are "
            "learned: see B8 first.",
        )
    mislabelled = shuffled_gap <= 3 * shuffled_gap_stderr
    labels = Suspect(
        cause="inputs-ignored",
        component="labels",
        where="train",
        why="training on shuffled labels does as well on validation: are inputs and labels "
        "still in the same order?",
    )
    network = Suspect(
        cause="inputs-ignored",
        component="model",
        why=f"the loss with real inputs ({real:.4g}) is no better than with blank ({blank:.4g})",
    )
    return result(
        Verdict.FAILED,
        f"Real inputs do no better than blank ones on validation ({real:.4g} against {blank:.4g}, "
        f"difference {gain:.2g} +- {gain_stderr:.2g}).",
        "Look at pairs of inputs and labels just before the network; then at whether the "
        "gradient reaches the first layer; then train longer.",
        *((labels, network) if mislabelled and varied else (network, labels)),
    )


def best_blind(loss: losses.Loss, targets: PyTree, shape: tuple[int, ...]) -> float:
    """Returns the lowest loss without inputs: the best constant, at each position of a sequence.

    Args:
      loss: which.
      targets: of validation.
      shape: of one output.
    """
    if loss.kind != "tokens":
        return loss.uninformed(targets, shape)
    tags = np.asarray(targets)
    weights = jit_once(lambda outputs, part: losses.weighted(loss, outputs, part)[1])
    total = weight = 0.0
    for t in range(tags.shape[1]):
        part = tags[:, t : t + 1]
        outputs = np.zeros((len(part), 1, shape[-1]), np.float32)
        counted = float(np.asarray(weights(outputs, part)).sum())
        if counted > 0:
            total += counted * loss.uninformed(part, (1, shape[-1]))
            weight += counted
    return total / weight if weight > 0 else loss.uninformed(targets, shape)


def best_look_gain(context: Context, arm: ArmResult, blank: ArmResult) -> float:
    """Returns the largest gain of an arm over blank inputs at any look, in standard errors."""
    targets = context.controls.probe.targets

    def loss(probe: PyTree, i: int) -> np.ndarray:
        return np.asarray(context.losses(jax.tree.map(lambda x: x[i], probe), targets)[0])

    end, best = loss(blank.probe, -1), 0.0
    for i in range(1, len(arm.looks)):
        gain, stderr = paired_difference(end, loss(arm.probe, i))
        if np.isfinite(gain) and stderr > 0:
            best = max(best, gain / stderr)
    return best


def answers_vary(probe: PyTree) -> bool:
    """Tells whether the last outputs in `probe` [s, p, ...] differ between examples."""

    def spread(x: np.ndarray) -> bool:
        last = np.asarray(x, np.float64)[-1]
        return bool(np.ptp(last, axis=0).max() > 1e-5 * (np.abs(last).max() + 1e-30))

    return any(spread(x) for x in jax.tree.leaves(probe))


def check_blank_inputs(context: Context) -> Finding:
    """Measures and judges the input-independent baseline (B7)."""
    controls = context.controls
    real, blank, shuffled = (controls.arms[name] for name in ("real", "blank", "shuffled"))
    # The best of the learning rates tried: a timid one is B11's finding, not this check's.
    rivals = [arm for name, arm in controls.arms.items() if name.startswith(("real", "rate"))]
    best = min(rivals, key=lambda arm: arm.val_mean[0] if np.isfinite(arm.val).all() else np.inf)
    gain, gain_stderr = paired_difference(blank.val, best.val)
    gap, gap_stderr = paired_difference(shuffled.val, best.val)
    blank_mean, blank_stderr = mean_and_stderr(blank.val, np.ones_like(blank.val))
    law, floor = context.law, None
    if law is not None:
        shape = np.shape(real.few_outputs)[1:]
        floor = law.scale * best_blind(law.loss, controls.val_targets, shape)
    metric_gain, metric_stderr = paired_difference(best.val_metric, blank.val_metric)
    finding = judge_blank_inputs(
        gain=gain,
        gain_stderr=gain_stderr,
        real=best.val_mean[0],
        blank=blank_mean,
        blank_stderr=blank_stderr,
        shuffled_gap=gap,
        shuffled_gap_stderr=gap_stderr,
        floor=floor,
        finished=real.steps >= controls.planned,
        metric_gain=metric_gain,
        metric_gain_stderr=metric_stderr,
        best_look=0.0 if gain > 3 * gain_stderr else best_look_gain(context, best, blank),
        learned=few_learned(context),
        varied=answers_vary(best.probe),
    )
    arms = {"real inputs": best, "shuffled labels": shuffled, "blank inputs": blank}
    bars = Bars(
        title=f"Validation loss after {real.steps} updates",
        values={name: arm.val_mean[0] for name, arm in arms.items()},
        intervals={
            name: (mean - 1.96 * stderr, mean + 1.96 * stderr)
            for name, (mean, stderr) in ((name, arm.val_mean) for name, arm in arms.items())
        },
        levels={} if floor is None else {"best constant": floor},
        xlabel="loss",
    )
    return dataclasses.replace(finding, figures=(bars,))
