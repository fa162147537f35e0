"""B8: overfit one batch - the network must be able to learn a few examples by heart."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.context import Context
from jrecipe.checks.controls import ArmResult
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.figures import Curves, Figure, Table
from jrecipe.types import PyTree

ITEM, CHECK = "B8", "overfit-one-batch"


def reachable(inputs: PyTree, values: np.ndarray) -> bool:
    """Tells whether all inputs differ, so that every target can be reached by some function."""
    leaves = [np.asarray(x).reshape(len(values), -1) for x in jax.tree.leaves(inputs)]
    rows = {b"".join(leaf[i].tobytes() for leaf in leaves) for i in range(len(values))}
    return len(rows) == len(values)


def judge_overfit_batch(
    *,
    start: float,
    reached: float,
    floor: float,
    right: float,
    examples: int,
    steps: int,
    distinct: bool = True,
    finished: bool = True,
    figures: tuple[Figure, ...] = (),
) -> Finding:
    """Judges training on a few examples, over and over.

    Args:
      start: their loss before training.
      reached: their loss at the end, for the best of the learning rates tried.
      floor: the lowest loss that can be reached.
      right: share of them answered right at the end; NaN without a notion of right.
      examples: how many.
      steps: updates made.
      distinct: whether the inputs differ from each other.
      finished: whether training had the time it was meant to have.
      figures: labels and predictions side by side, curves.
    """
    done = (start - reached) / max(start - floor, 1e-12)
    evidence = {
        "start": start,
        "reached": reached,
        "floor": floor,
        "share_of_the_way": done,
        "right": right,
        "examples": examples,
        "steps": steps,
        "needed_share_of_the_way": 0.9,
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
            figures=figures,
        )

    if start - floor < 1e-6:
        return result(
            Verdict.SKIPPED, f"The loss of {examples} examples is at its floor {floor:.4g} already."
        )
    if done >= 0.9 and (np.isnan(right) or right == 1.0):
        return result(
            Verdict.PASSED,
            f"{examples} examples are learned by heart in {steps} updates: loss {start:.4g} to "
            f"{reached:.3g}.",
        )
    if not distinct:
        return result(Verdict.SKIPPED, "Some of the few examples have equal inputs.")
    if not finished:
        return result(
            Verdict.SKIPPED,
            f"After {steps} updates the loss went from {start:.4g} to {reached:.4g}; the time "
            "budget ended there. Use --budget full.",
        )
    if not np.isfinite(reached) or reached >= start - 0.02 * abs(start - floor):
        return result(
            Verdict.FAILED,
            f"{steps} updates on {examples} examples do not lower their loss "
            f"({start:.4g} to {reached:.4g}).",
            "Follow the gradient: does it reach every parameter, with the right sign, and does the "
            "optimiser get the parameters that are used?",
            Suspect(
                cause="no-learning",
                component="step",
                why=f"loss {start:.4g} before, {reached:.4g} after {steps} updates",
            ),
            Suspect(cause="outputs-cannot-reach-targets", component="model"),
        )
    return result(
        Verdict.FAILED,
        f"{examples} examples cannot be learned by heart: the loss stops at {reached:.4g} "
        f"({start:.4g} at the start, {floor:.4g} possible).",
        "Look for outputs whose range or axis does not fit the targets (a second softmax, a "
        "sigmoid or ReLU at the end), a loss that is clipped, or layers that are frozen.",
        Suspect(
            cause="outputs-cannot-reach-targets",
            component="head",
            why=f"only {done:.0%} of the way to the floor",
        ),
        Suspect(cause="loss-clipped", component="loss"),
        Suspect(cause="parameters-frozen", component="optimizer"),
    )


def check_overfit_batch(context: Context) -> Finding:
    """Measures and judges learning a few examples by heart (B8)."""
    task, controls = context.task, context.controls
    arms = [arm for name, arm in controls.arms.items() if name.startswith("few")]

    def end(arm: ArmResult) -> float:
        mean = float(np.mean(arm.few))
        return mean if np.isfinite(mean) else np.inf

    best = min(arms, key=end)
    targets = jax.tree.map(np.asarray, controls.few.targets)
    right, floor = float("nan"), 0.0 if task.loss_floor is None else task.loss_floor
    answers = np.full(len(best.few), np.nan)
    if isinstance(task.loss, losses.Loss):
        if task.loss_floor is None:
            floor = task.loss.floor(targets, np.shape(best.few_outputs)[1:])
        answers = np.asarray(task.loss.decide(best.few_outputs))
        if task.loss.kind in ("classes", "binary"):
            right = float(np.mean(answers.reshape(-1) == np.asarray(targets).reshape(-1)))
    elif np.asarray(best.few).min() < 0 and task.loss_floor is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The loss goes below 0 and its floor is unknown; declare Task.loss_floor.",
            evidence={"reached": end(best)},
        )
    names = task.class_names

    def label(value: object) -> str:
        number = np.asarray(value)
        if (
            number.ndim == 0
            and np.issubdtype(number.dtype, np.integer)
            and int(number) < len(names)
        ):
            return names[int(number)]
        return np.array2string(number, precision=3, threshold=8)

    figures = (
        Curves(
            title=f"Loss on the same {len(best.few)} examples, over and over",
            lines={
                arm.arm.name.removeprefix("few, ").replace("few", "rate"): arm.train_loss
                for arm in arms
            },
            levels={"floor": floor} if floor > 0 else {},
            ylabel="loss",
            log_y=True,
        ),
        *_answers(targets, answers, best.few, label),
    )
    return judge_overfit_batch(
        start=float(arms[0].train_loss[0]),
        reached=end(best),
        floor=floor,
        right=right,
        examples=len(best.few),
        steps=best.steps,
        distinct=reachable(controls.few.inputs, best.few),
        finished=best.steps >= controls.planned,
        figures=figures,
    )


def _answers(
    targets: PyTree, answers: np.ndarray, loss: np.ndarray, label: object
) -> tuple[Table, ...]:
    if (
        not isinstance(targets, np.ndarray)
        or len(answers) != len(targets)
        or len(answers) != len(loss)
    ):
        return ()
    rows = [
        (str(i), label(targets[i]), label(answers[i]), f"{loss[i]:.3g}") for i in range(len(loss))
    ]
    return (
        Table(
            title="Labels and answers after it", columns=("", "label", "answer", "loss"), rows=rows
        ),
    )
