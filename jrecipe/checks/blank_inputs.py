"""B7: the input-independent baseline - does the network use its inputs at all?

The same network is trained on blanked inputs and judged on the same validation targets. It can at
best learn the share of each target. The real network has to beat it by more than the noise; and
nothing may beat the best constant output with its eyes shut.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.intervals import paired_difference
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Bars
from jrecipe.train.evaluate import mean_and_stderr

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
    """
    evidence = {
        "real": real,
        "blank": blank,
        "gain": gain,
        "gain_stderr": gain_stderr,
        "gain_over_shuffled_labels": shuffled_gap,
        "best_constant": floor,
    }

    def result(verdict: Verdict, finding: str, remedy: str = "", *suspects: Suspect) -> Finding:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=verdict,
            evidence=evidence,
            finding=finding,
            remedy=remedy,
            suspects=suspects,
        )

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
        *((labels, network) if mislabelled else (network, labels)),
    )


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
    loss, floor = context.task.loss, None
    if isinstance(loss, losses.Loss):
        shape = np.shape(real.few_outputs)[1:]
        floor = loss.uninformed(controls.val_targets, shape)
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
