"""B8: overfit one batch - the network must be able to learn a few examples by heart."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.arms import ArmResult
from jrecipe.checks.context import Context
from jrecipe.checks.examples import describe_target, gallery
from jrecipe.checks.free_outputs import resting_loss
from jrecipe.checks.laws import is_distribution
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.figures import Curves, Figure
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.types import Batch, LossFunction, PyTree

ITEM, CHECK = "B8", "overfit-one-batch"
ENOUGH = 0.9  # share of the way to the floor that counts as learned


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
    causes: tuple[Suspect, ...] = (),
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
      causes: what the measurements point at, likeliest first; see `find_causes`.
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
        "needed_share_of_the_way": ENOUGH,
    }

    result = concluding(ITEM, CHECK, evidence, figures)

    if np.isfinite(reached) and reached < floor - 1e-3 * max(1.0, abs(floor)):
        return result(
            Verdict.WARNED,
            f"The loss of {examples} examples falls to {reached:.4g}, below {floor:.4g}, which is "
            "said to be the lowest.",
            "Correct Task.loss_floor, or see what makes the loss smaller than it can be.",
            Suspect(
                cause="wrong-loss",
                component="loss",
                where="loss floor",
                why=f"{reached:.4g} is below the floor of {floor:.4g}",
            ),
        )
    if start - floor < 1e-6:
        return result(
            Verdict.SKIPPED, f"The loss of {examples} examples is at its floor {floor:.4g} already."
        )
    if done >= ENOUGH and (np.isnan(right) or right == 1.0):
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
            *causes,
            *_unless(
                causes,
                Suspect(
                    cause="no-learning",
                    component="step",
                    why=f"loss {start:.4g} before, {reached:.4g} after {steps} updates",
                ),
                Suspect(cause="outputs-cannot-reach-targets", component="head"),
            ),
        )
    return result(
        Verdict.FAILED,
        f"{examples} examples cannot be learned by heart: the loss stops at {reached:.4g} "
        f"({start:.4g} at the start, {floor:.4g} possible).",
        "Look for outputs whose range or axis does not fit the targets (a second softmax, a "
        "sigmoid or ReLU at the end), a loss that is clipped, or layers that are frozen.",
        *causes,
        *_unless(
            causes,
            Suspect(
                cause="outputs-cannot-reach-targets",
                component="head",
                why=f"only {done:.0%} of the way to the floor",
            ),
            Suspect(cause="loss-clipped", component="loss"),
        ),
    )


def _unless(causes: Sequence[Suspect], *others: Suspect) -> tuple[Suspect, ...]:
    named = {suspect.cause for suspect in causes}
    return tuple(suspect for suspect in others if suspect.cause not in named)


def few_floor(context: Context) -> float | None:
    """Returns the lowest loss that the few examples can reach, None if it is unknown."""
    task, arms = context.task, _few_arms(context)
    if task.loss_floor is not None:
        return context.once("floor of the few, declared", lambda: _declared_floor(context, arms))
    law = context.law
    if law is not None:
        targets = jax.tree.map(np.asarray, context.controls.few.targets)
        floor = law.scale * law.loss.floor(targets, np.shape(arms[0].few_outputs)[1:])
        return floor + 0.0  # no -0
    return context.once("floor of the few", lambda: _measured_floor(context, arms))


def _declared_floor(context: Context, arms: Sequence[ArmResult]) -> float:
    """Returns the declared floor, or that of the few examples where it is lower.

    What is declared holds for the mean over the data; a few soft targets may be surer than most.
    """
    declared, best = context.task.loss_floor, min(arms, key=_end)
    assert declared is not None
    if not _end(best) < declared:
        return declared
    resting = resting_loss(context.task.loss, best.few_outputs, context.controls.few.targets)
    return declared if resting is None else min(declared, resting)


def _measured_floor(context: Context, arms: Sequence[ArmResult]) -> float | None:
    """Returns where a loss that is not known comes to rest, 0 if it need not be asked."""
    values = [float(np.min(x)) for arm in arms for x in (arm.few, arm.few_start, arm.train_loss)]
    if min(values) < 0:
        return None
    best = min(arms, key=_end)
    if not _end(best) > (1 - ENOUGH) * float(arms[0].few_start.mean()):
        return 0.0
    targets = context.controls.few.targets
    resting = resting_loss(context.task.loss, best.few_outputs, targets)
    return 0.0 if resting is None else float(np.clip(resting, 0.0, _end(best)))


def few_learned(context: Context) -> float:
    """Returns the share of the way to their floor that the few examples went; 1 if unknown."""
    floor, arms = few_floor(context), _few_arms(context)
    if floor is None:
        return 1.0
    start, reached = float(arms[0].few_start.mean()), min(map(_end, arms))
    return (start - reached) / max(start - floor, 1e-12) if np.isfinite(reached) else -np.inf


def _few_arms(context: Context) -> list[ArmResult]:
    return [arm for name, arm in context.controls.arms.items() if name.startswith("few")]


def _end(arm: ArmResult) -> float:
    mean = float(np.mean(arm.few))
    return mean if np.isfinite(mean) else np.inf


def _learned(arm: ArmResult) -> bool:
    """Tells whether an arm lowered its training loss to half or less."""
    end = arm.train_mean[0]
    return bool(np.isfinite(end) and end < 0.5 * float(arm.train_start.mean()))


def find_causes(context: Context, floor: float) -> tuple[Suspect, ...]:
    """Measures why a few examples are not learned; asked only once they are not.

    In order: outputs that are probabilities before a loss of logits; outputs cut off at 0; a loss
    that gives no gradient although it is above its floor; weights that do not move, all or some,
    although the loss has a gradient in them; weights that hardly move; decay that outweighs the
    loss; a loss that rises.

    Args:
      context: the task.
      floor: the lowest loss that can be reached.
    """
    task, controls = context.task, context.controls
    arms = _few_arms(context)
    real, best = controls.arms["few"], min(arms, key=_end)
    law, found = context.law, []
    inside = [np.asarray(x) for x in jax.tree.leaves((real.few_outputs, real.probe))]
    if law is not None and law.loss.kind in ("classes", "tokens") and is_distribution(inside[0]):
        found.append(
            Suspect(cause="double-softmax", component="head", why="the outputs sum to 1 by row")
        )
    sigmoid = law is not None and law.loss.kind in ("binary", "multilabel")
    if sigmoid and all((x >= 0).all() and (x <= 1).all() for x in inside):
        found.append(
            Suspect(
                cause="double-softmax",
                component="head",
                why="the outputs stay in [0, 1] all through training: a sigmoid before the "
                "sigmoid of the loss",
            )
        )
    targets = [np.asarray(x) for x in jax.tree.leaves(controls.few.targets)]
    number = law is not None and law.loss.kind == "number"
    if number and any((y < 0).any() for y in targets):
        ends = np.concatenate([x.ravel() for x in inside])
        if (ends >= 0).all() and (ends == 0).any():
            found.append(
                Suspect(
                    cause="outputs-cannot-reach-targets",
                    component="head",
                    where="outputs >= 0",
                    why="outputs are cut off at 0, as by a ReLU at the end, and targets are below",
                )
            )
    stuck = clipped_examples(task.loss, best.few_outputs, controls.few.targets, floor)
    if stuck > 0:
        found.append(
            Suspect(
                cause="loss-clipped",
                component="loss",
                why=f"{stuck} of {len(best.few)} examples have a loss above its floor and no "
                "gradient in the outputs",
            )
        )
    found.extend(_unmoved(context, real))
    if not context.foreign and context.model is not None:
        decay = context.decay_share
        if decay > 0.5:
            found.append(
                Suspect(
                    cause="decay-dominates",
                    component="optimizer",
                    why=f"decay turns the first update by {decay:.0%}",
                )
            )
    start = float(real.few_start.mean())
    if not found and all(_end(arm) > start for arm in arms):
        found.append(
            Suspect(
                cause="no-learning",
                component="step" if context.foreign else "optimizer",
                where="sign of the update",
                why=f"the loss rises, from {start:.4g}, at every rate tried",
            )
        )
    return tuple(found)


def clipped_examples(
    loss: LossFunction, outputs: PyTree, targets: PyTree, floor: float = 0.0
) -> int:
    """Counts examples whose loss is above its floor but has no gradient in the outputs.

    Args:
      loss: `(outputs, targets) -> float32[b]` or a pair with weights.
      outputs: floats, leading axis b.
      targets: leading axis b.
      floor: the lowest loss.
    """
    outputs = jax.tree.map(jnp.asarray, outputs)
    if not all(jnp.issubdtype(x.dtype, jnp.floating) for x in jax.tree.leaves(outputs)):
        return 0

    def total(outputs: PyTree) -> tuple[jax.Array, jax.Array]:
        value, weight = losses.weighted(loss, outputs, targets)
        return (value * weight).sum(), value

    grads, value = jit_once(jax.grad(total, has_aux=True))(outputs)
    flat = jax.tree.map(lambda x: np.abs(np.asarray(x, np.float64)).reshape(len(x), -1), grads)
    largest = np.max([x.max(axis=1) for x in jax.tree.leaves(flat)], axis=0)
    high = np.asarray(value, np.float64) > floor + 1e-3 * max(1.0, abs(floor))
    return int((high & (largest == 0)).sum())


def _unmoved(context: Context, arm: ArmResult) -> list[Suspect]:
    """Returns suspects for weights that never move, or hardly do."""
    task = context.task
    thawed = {
        name: size
        for name, size in arm.moved.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in task.frozen)
    }
    component = "step" if context.foreign else "optimizer"
    still = [name for name, size in thawed.items() if size == 0]
    total = float(np.sqrt(sum(size**2 for size in thawed.values())))
    if 0 < total < 1e-4:
        why = f"after {arm.steps} updates the weights have moved by {total:.1e} of their size"
        return [Suspect(cause="learning-rate-too-low", component="optimizer", why=why)]
    if not context.foreign and context.model is not None and still:
        params, state = context.variables()
        grads = context.gradient(params, state, context.controls.few)[1]
        reached = {
            path_name(path)
            for path, leaf in jax.tree_util.tree_leaves_with_path(grads)
            if float(jnp.abs(leaf).max()) > 0
        }
        still = [name for name in still if name in reached]
    if not still:
        return []
    every = len(still) == len(thawed)
    why = "no parameter changes" if every else f"{len(still)} of {len(thawed)} never change"
    where = "" if every else ", ".join(still[:4])
    return [
        Suspect(
            cause="parameters-frozen",
            component=component,
            where=where,
            why=f"{why} in {arm.steps} updates, though the loss has a gradient there",
        )
    ]


def check_overfit_batch(context: Context) -> Finding:
    """Measures and judges learning a few examples by heart (B8)."""
    controls = context.controls
    arms = _few_arms(context)
    best = min(arms, key=_end)
    targets = jax.tree.map(np.asarray, controls.few.targets)
    floor = few_floor(context)
    if floor is None:
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="The loss goes below 0 and its floor is unknown; declare Task.loss_floor.",
            evidence={"reached": _end(best)},
        )
    real = controls.arms["real"]
    if context.foreign and not np.isfinite(_end(best)) and _learned(real):
        return Finding(
            item=ITEM,
            check=CHECK,
            verdict=Verdict.SKIPPED,
            finding="At the one learning rate of the trainer, a few examples over and over diverge "
            "while training on all of them works; a smaller rate would tell more.",
            evidence={"reached": _end(best), "training_loss": real.train_mean[0]},
        )
    right = float("nan")
    answers = np.full(len(best.few), np.nan)
    if context.law is not None:
        answers = np.asarray(context.law.loss.decide(best.few_outputs))
        if context.law.loss.kind in ("classes", "binary"):
            labels = np.asarray(targets).reshape(-1) > 0.5
            if context.law.loss.kind == "classes":
                labels = np.asarray(targets).reshape(-1)
            right = float(np.mean(answers.reshape(-1) == labels))
    figures: tuple[Figure, ...] = (
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
        *_answers(context, controls.few, answers, best.few),
    )
    judge = functools.partial(
        judge_overfit_batch,
        start=float(arms[0].few_start.mean()),
        reached=_end(best),
        floor=floor,
        right=right,
        examples=len(best.few),
        steps=best.steps,
        distinct=reachable(controls.few.inputs, best.few),
        finished=best.steps >= controls.planned,
        figures=figures,
    )
    finding = judge()
    return finding if finding.ok else judge(causes=find_causes(context, floor))


def _answers(
    context: Context, few: Batch, answers: np.ndarray, loss: np.ndarray
) -> tuple[Figure, ...]:
    """Draws the few examples with their targets, and what the network answers after it."""
    if len(answers) != len(loss) or np.isnan(answers.astype(float)).any():
        return ()
    says = [
        f"answer {describe_target(context.task, answer)}, loss {value:.2g}"
        for answer, value in zip(answers, loss, strict=True)
    ]
    rows = np.arange(len(loss))
    title = "Targets and answers after it"
    return gallery(context.task, title, few.inputs, few.targets, rows=rows, notes=says)
