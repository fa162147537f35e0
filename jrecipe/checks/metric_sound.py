"""B3: the metric - perfect predictions must get the best score, each example by itself.

Perfect outputs are built from the targets, where the loss agrees that they are (its value is lower
there than at wrong ones), and the metric is asked about them, about wrong ones, about those of
other examples, and about mixtures.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from jrecipe import losses, metrics
from jrecipe.checks.context import Context
from jrecipe.checks.loss_padding import find_padding
from jrecipe.checks.loss_probe import Probe, probe_of
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.train.compiled import jit_once

ITEM, CHECK = "B3", "metric"


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a metric says about outputs whose quality is known; means over examples.

    Attributes:
      perfect: mean score of perfect outputs.
      wrong: of outputs that are as wrong as they can be.
      random: of outputs drawn at random.
      highest: the highest mean among all outputs asked about.
      bounded: whether all scores lie in [0, 1].
      ignores_outputs: share of the examples with one score for perfect and all other outputs.
      ignores_targets: share of the examples whose perfect outputs score the same under another
        target; NaN if there is no other target.
      mixed: share of the examples whose score changes when other examples' outputs do.
      inverted: share of the examples whose wrong outputs score more than their perfect ones.
      hesitant: mean score of right answers given with little confidence, below those given with
        much; NaN where that cannot be asked.
      padding: share of the padded examples whose score depends on outputs at padded positions;
        NaN without padding.
    """

    perfect: float
    wrong: float
    random: float
    highest: float
    bounded: bool
    ignores_outputs: float
    ignores_targets: float
    mixed: float
    inverted: float = 0.0
    hesitant: float = float("nan")
    padding: float = float("nan")


def judge_metric(scores: Scores, *, independent: bool = True) -> Finding:
    """Judges a metric by the scores of outputs whose quality is known.

    Args:
      scores: what was measured.
      independent: the task's `examples_independent`.
    """
    evidence = dataclasses.asdict(scores)
    result = concluding(ITEM, CHECK, evidence)
    room = 1e-4 * (1.0 + abs(scores.perfect))

    def wrong(said: str, remedy: str, where: str, why: str) -> Finding:
        suspect = Suspect(cause="metric-wrong", component="eval", where=where, why=why)
        return result(Verdict.FAILED, said, remedy, suspect)

    if not np.isfinite([scores.perfect, scores.wrong]).all():
        return wrong(
            f"The metric of perfect outputs is {scores.perfect}, of wrong ones {scores.wrong}.",
            "Look for a division by zero in the metric.",
            "not finite",
            "it is not finite for outputs that can occur",
        )
    if scores.ignores_outputs >= 0.95:
        return wrong(
            f"The metric is {scores.perfect:.4g} for perfect, wrong and random outputs alike.",
            "Look at the order of its arguments: a metric is given (outputs, targets).",
            "outputs",
            f"{scores.ignores_outputs:.0%} of the examples score the same whatever the outputs are",
        )
    if scores.highest > scores.perfect + room:
        lower = scores.wrong > scores.perfect + room and scores.inverted >= 0.5
        where = "direction" if lower else "perfect outputs"
        kind = "wrong" if lower else "other"
        return wrong(
            f"Perfect outputs score {scores.perfect:.4g}, {kind} ones {scores.highest:.4g}; higher "
            "is taken to be better.",
            "Return the negative of an error." if lower else "Ask it about a few examples by hand.",
            where,
            f"{kind} outputs score {scores.highest - scores.perfect:.3g} more than perfect ones",
        )
    if scores.bounded and scores.perfect < 0.99:
        return wrong(
            f"Perfect outputs score {scores.perfect:.4g}, not 1.",
            "Look at the axis of argmax, at how classes are numbered, and at what it divides by.",
            "perfect outputs",
            f"all scores lie in [0, 1], and the best one is {scores.perfect:.4g}",
        )
    if scores.ignores_targets >= 0.95:
        return wrong(
            "The metric does not depend on the targets: perfect outputs score the same under "
            "those of other examples.",
            "Look at the order of its arguments: a metric is given (outputs, targets).",
            "targets",
            f"{scores.ignores_targets:.0%} of the examples keep their score under another target",
        )
    if independent and scores.mixed >= 0.5:
        return wrong(
            f"The score of {scores.mixed:.0%} of the examples changes with the outputs of others: "
            "averaged over ragged batches it is not exact.",
            "Return one number per example, that of this example alone, and no mean.",
            "axis 0, the batch",
            "replacing the outputs of every second example changes the scores of the rest",
        )
    if scores.padding >= 0.05:
        return wrong(
            f"Padding counts in the metric: outputs there change the score of {scores.padding:.0%} "
            "of the padded examples.",
            "Leave padded positions out, and return the number of real ones as the weight.",
            "axis 1, padded positions",
            "other outputs at padded positions alone give another score",
        )
    if scores.bounded and scores.hesitant < scores.perfect - 0.1:
        return result(
            Verdict.WARNED,
            f"Right answers score {scores.hesitant:.4g} when given with a logit of 0.3, and "
            f"{scores.perfect:.4g} when given with a large one.",
            "The outputs are logits: their threshold is 0, that of probabilities 0.5.",
            Suspect(
                cause="metric-wrong",
                component="eval",
                where="threshold",
                why="answers on the right side of 0 are counted as wrong",
            ),
        )
    return result(
        Verdict.PASSED,
        f"Perfect outputs score {scores.perfect:.4g}, random ones {scores.random:.4g}, wrong ones "
        f"{scores.wrong:.4g}.",
    )


def measure_metric(context: Context, probe: Probe) -> Scores | None:
    """Measures a metric on outputs whose quality is known; None if none can be built.

    They cannot where the targets do not say what outputs should be, or where the loss does not
    agree that the outputs built are better than wrong ones.
    """
    metric, reading = context.task.metric, probe.reading
    if metric is None or reading is None:
        return None
    number = reading.kind == "number"
    size = 10.0 + float(np.log(max(probe.shape[-1], 1)))  # sure of one class among all the others
    sure, wrongs = (0.0, (-4.0, 4.0)) if number else (size, (-size,))
    good = probe.answer(sure)
    others = [probe.answer(size) for size in wrongs]
    assert good is not None
    best = probe.ask(good)
    asked = [probe.ask(z) for z in [*others, *(probe.draw(s) for s in (1.0, 3.0))] if z is not None]
    room = 1e-6 * (1.0 + np.abs(best.value))
    agreed = [best.value <= x.value + room for x in asked]
    if np.mean(agreed) < 0.95:
        return None
    program = jit_once(lambda outputs, targets: losses.weighted(metric, outputs, targets))

    def score(z: list[np.ndarray], targets: Any = None) -> tuple[np.ndarray, np.ndarray]:
        outputs = _exact(probe, z) if number else probe.linked(z)
        value, weight = program(outputs, probe.targets if targets is None else targets)
        return np.asarray(value, np.float64), np.asarray(weight, np.float64)

    perfect, weight = score(good)
    wrong = [score(z)[0] for z in others if z is not None]
    draws = [probe.draw(size) for size in (0.5, 1.0, 3.0)]
    drawn = [score(z)[0] for z in draws]
    order = np.roll(np.arange(probe.rows), 1)
    moved = jax.tree.map(lambda y: y[order], probe.targets)
    labels = reading.labels(probe.targets).reshape(probe.rows, -1)
    differs = (labels != labels[order]).any(axis=1) & (weight > 0)
    swapped = score(good, moved)[0]
    every = np.stack([perfect, *wrong, *drawn])
    counted = weight > 0
    same = np.ptp(every, axis=0) <= 1e-6 * (1.0 + np.abs(perfect))

    def mean(value: np.ndarray) -> float:
        return float((value * weight).sum() / max(weight.sum(), 1e-9))

    return Scores(
        perfect=mean(perfect),
        wrong=min(mean(x) for x in wrong),
        random=mean(drawn[1]),
        highest=max(mean(x) for x in every),
        bounded=bool((every >= -1e-6).all() and (every <= 1 + 1e-6).all()),
        ignores_outputs=float(same[counted].mean()) if counted.any() else 0.0,
        ignores_targets=_share(np.abs(swapped - perfect) <= 1e-6, differs),
        mixed=_mixed(score, good, draws[2], perfect, counted),
        inverted=_share(np.max(wrong, axis=0) > perfect + 1e-6, counted),
        hesitant=_hesitant(context, probe, score, mean),
        padding=_padding(context, probe, score, good, draws[2]),
    )


def _exact(probe: Probe, z: list[np.ndarray]) -> Any:
    """Returns numbers as outputs: within the reach of the link, else as they are."""
    if probe.domains[0].shape == "free":
        return probe.tree([np.asarray(z[0], np.float32)])
    return probe.linked(z)


def _share(some: np.ndarray, of: np.ndarray) -> float:
    return float(some[of].mean()) if of.any() else float("nan")


def _mixed(
    score: Any,
    good: list[np.ndarray],
    other: list[np.ndarray],
    perfect: np.ndarray,
    counted: np.ndarray,
) -> float:
    """Returns the share of examples whose score changes with the outputs of every second one."""
    odd = np.arange(len(perfect)) % 2 == 1
    half = [
        np.where(odd.reshape(-1, *([1] * (np.ndim(b) - 1))), b, a)
        for a, b in zip(good, other, strict=True)
    ]
    kept = counted & ~odd
    return _share(np.abs(score(half)[0] - perfect) > 1e-5 * (1.0 + np.abs(perfect)), kept)


def _hesitant(context: Context, probe: Probe, score: Any, mean: Any) -> float:
    """Returns the mean score of right answers given with little confidence, for one-unit logits."""
    reading, law = probe.reading, context.law
    if reading is None or reading.kind not in ("binary", "multilabel") or not probe.free:
        return float("nan")
    if law is None or law.loss.kind not in ("binary", "multilabel"):
        return float("nan")
    return float(mean(score(probe.answer(0.3))[0]))


def _padding(
    context: Context, probe: Probe, score: Any, good: list[np.ndarray], other: list[np.ndarray]
) -> float:
    """Returns the share of padded examples whose score depends on outputs at padded positions."""
    inputs, targets = context.at_init[:2]
    found = find_padding(inputs, targets)
    if found is None:
        return float("nan")
    take = np.unique(np.linspace(0, len(found.padded) - 1, probe.rows).astype(int))
    padded = found.padded[take]
    if probe.shape[:2] != padded.shape:
        return float("nan")
    hidden = padded.reshape(*padded.shape, *([1] * (len(probe.shape) - 2)))
    base, _ = score(good)
    wrong, _ = score([np.where(hidden, b, a) for a, b in zip(good, other, strict=True)])
    some = padded.any(axis=1) & ~padded.all(axis=1)
    return _share(np.abs(base - wrong) > 1e-6, some)


def check_metric(context: Context) -> tuple[Finding, ...]:
    """Measures and judges the task's metric (B3)."""
    metric = context.task.metric

    def skip(verdict: Verdict, said: str) -> tuple[Finding, ...]:
        return (Finding(item=ITEM, check=CHECK, verdict=verdict, finding=said),)

    if metric is None:
        return skip(Verdict.SKIPPED, "The task has no metric.")
    if metric == metrics.for_loss(context.task.loss) and _counts_right(context):
        return skip(Verdict.PASSED, "The metric is the one that belongs to the loss, jrecipe's.")
    probe = probe_of(context)
    if not probe.differentiable:
        return skip(Verdict.SKIPPED, "The outputs are not floating point.")
    scores = measure_metric(context, probe)
    if scores is None:
        return skip(
            Verdict.SKIPPED, "Perfect outputs cannot be built from these targets for this loss."
        )
    return (judge_metric(scores, independent=context.task.examples_independent),)


def _counts_right(context: Context) -> bool:
    """Tells whether a metric of tokens has a pad id, or needs none."""
    loss: Any = context.task.loss
    return getattr(loss, "kind", None) != "tokens" or getattr(loss, "pad", None) is not None
