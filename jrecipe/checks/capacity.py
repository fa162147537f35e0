"""B9: the training loss falls, and a little more capacity makes it fall further."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.intervals import paired_difference
from jrecipe.checks.overfit_batch import few_floor, find_causes
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Curves, Figure

ITEM, CHECK = "B9", "capacity"


def judge_capacity(
    *,
    start: float,
    base: float,
    fell: float,
    fell_stderr: float,
    bigger: float | None = None,
    gap: float = 0.0,
    gap_stderr: float = 0.0,
    head_start: float = 0.0,
    pretrained: bool = False,
    finished: bool = True,
    figures: tuple[Figure, ...] = (),
) -> Finding:
    """Judges the training loss of the network, and of one twice as large.

    Args:
      start: training loss before training.
      base: training loss at the end.
      fell: start - base.
      fell_stderr: its standard error over the same examples.
      bigger: training loss at the end with twice the capacity; None if it could not be built.
      gap: mean of (bigger - base) over training examples.
      gap_stderr: its standard error.
      head_start: how much lower the network's loss was than the larger one's before training.
      pretrained: whether the weights are given, and so perhaps trained already.
      finished: whether training had the time it was meant to have.
      figures: both learning curves.
    """
    limit = max(4 * gap_stderr, 0.1 * max(fell, 0.0)) + max(head_start, 0.0)
    evidence = {
        "start": start,
        "base": base,
        "twice_the_capacity": bigger,
        "difference": gap,
        "difference_stderr": gap_stderr,
        "limit": limit,
    }

    result = concluding(ITEM, CHECK, evidence, figures)

    if not np.isfinite(base) or not fell > 3 * fell_stderr:
        if pretrained and np.isfinite(base):
            return result(
                Verdict.PASSED,
                f"The given weights score {start:.4g} on the training set, and {base:.4g} after "
                "training: nothing was left to lower.",
            )
        if not finished:
            return result(
                Verdict.SKIPPED, "Training was cut short by its time budget; use --budget full."
            )
        return result(
            Verdict.FAILED,
            f"Training does not lower the training loss ({start:.4g} to {base:.4g}).",
            "See B8 first: a network that cannot learn a few examples cannot learn many.",
            Suspect(
                cause="no-learning",
                component="step",
                why=f"training loss {start:.4g} before and {base:.4g} after",
            ),
            Suspect(cause="learning-rate-too-low", component="optimizer"),
            Suspect(cause="learning-rate-too-high", component="optimizer"),
        )
    if bigger is None:
        return result(
            Verdict.PASSED,
            f"Training lowers the training loss from {start:.4g} to {base:.4g}. A larger network "
            "could not be built from the task's own trainer, given weights or such outputs.",
        )
    if np.isfinite(bigger) and gap <= limit:
        sooner = "falls further" if gap < -2 * gap_stderr else "is the same within noise"
        return result(
            Verdict.PASSED,
            f"With twice the capacity the training loss {sooner}: {bigger:.4g} against {base:.4g}.",
        )
    return result(
        Verdict.FAILED,
        f"With twice the capacity the training loss is higher: {bigger:.4g} against {base:.4g}.",
        "More capacity must not hurt the training loss: look at the scale of the initial outputs "
        "and at a learning rate at the edge of diverging.",
        Suspect(
            cause="learning-rate-too-high",
            component="optimizer",
            why="the larger network trains worse on its own training data",
        ),
        Suspect(cause="init-scale", component="init"),
    )


def check_capacity(context: Context) -> Finding:
    """Measures and judges the training loss with more capacity (B9)."""
    base = context.controls.arms["real"]
    start, mean = float(base.train_start.mean()), base.train_mean[0]
    fell, stderr = paired_difference(base.train_start, base.train)
    bigger = context.bigger if _adds_up(base.few_outputs) else None
    lines = {"the network": _smooth(base.train_loss)}
    numbers: dict[str, float] = {}
    if bigger is not None:
        arm = bigger.arms["real"]
        gap, gap_stderr = paired_difference(arm.train, base.train)
        numbers = {"bigger": arm.train_mean[0], "gap": gap, "gap_stderr": gap_stderr}
        numbers["head_start"] = float(arm.train_start.mean()) - start
        lines["twice the capacity"] = _smooth(arm.train_loss)
    curves = Curves(
        title="Training loss with a little more capacity", lines=lines, ylabel="loss", log_y=True
    )
    finding = judge_capacity(
        start=start,
        base=mean,
        fell=fell,
        fell_stderr=stderr,
        pretrained=context.pretrained,
        finished=base.steps >= context.controls.planned,
        figures=(curves,),
        **numbers,
    )
    if finding.ok or not np.isfinite(mean) or (bigger is not None and fell > 3 * stderr):
        return finding
    floor = few_floor(context)
    first = () if floor is None else find_causes(context, floor)
    for name, cause in (
        ("rate/10", "learning-rate-too-high"),
        ("rate/100", "learning-rate-too-high"),
        ("rate*10", "learning-rate-too-low"),
    ):
        other = context.controls.arms.get(name)
        if other is not None and other.train_mean[0] < 0.5 * start:
            why = f"with {name} the training loss is {other.train_mean[0]:.4g}"
            first = (Suspect(cause=cause, component="optimizer", why=why), *first)
            break
    named = {suspect.cause for suspect in first}
    rest = tuple(suspect for suspect in finding.suspects if suspect.cause not in named)
    return dataclasses.replace(finding, suspects=(*first, *rest))


def _adds_up(outputs: object) -> bool:
    """Tells whether outputs of two networks can be added: floats that are no distributions."""
    for leaf in jax.tree.leaves(outputs):
        leaf = np.asarray(leaf)
        if not np.issubdtype(leaf.dtype, np.floating):
            return False
        sums = leaf.sum(axis=-1)
        if (
            leaf.ndim > 1
            and leaf.shape[-1] > 1
            and (leaf >= 0).all()
            and np.allclose(sums, 1.0, atol=1e-3)
        ):
            return False
    return True


def _smooth(line: np.ndarray, width: int = 15) -> np.ndarray:
    """Returns a running mean over the last `width` values, as batches differ."""
    total = np.cumsum(np.concatenate([[0.0], line]))
    start = np.maximum(np.arange(1, len(line) + 1) - width, 0)
    stop = np.arange(1, len(line) + 1)
    return (total[stop] - total[start]) / (stop - start)
