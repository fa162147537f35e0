"""G3: can the outputs reach what the loss asks for?

Where outputs are limited is found by moving all weights far: free outputs grow with them, those
behind a sigmoid, tanh, ReLU or softmax pile up at a limit that stays. The loss is then asked about
the best outputs within the limits.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.loss_probe import Probe, probe_of
from jrecipe.checks.loss_reading import Domain
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "G3", "loss-function"


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the limits of the outputs cost.

    Attributes:
      domain: of the outputs.
      lost: share of what can be learned that no outputs within the limits can reach: 0 if the
        best of them are as good as free outputs, 1 if they are no better than a constant.
      outside: share of the target values outside the limits; NaN for labels.
      numbers: whether the targets are numbers.
      scores: whether the loss normalises its outputs itself, as one of logits.
    """

    domain: Domain
    lost: float
    outside: float
    numbers: bool
    scores: bool = False


def judge_range(reach: Reach | None) -> Finding | None:
    """Judges limits of the outputs; None if the targets can be reached.

    Args:
      reach: what was measured, None if it could not be.
    """
    if reach is None:
        return None
    domain, needed = reach.domain, 0.01 if reach.numbers else 0.2
    if reach.lost < needed or (reach.numbers and reach.outside < 0.03):
        return None
    span = f"[{domain.low:g}, {domain.high:g}]"
    result = concluding(
        ITEM,
        CHECK,
        {
            "lowest_output": domain.low,
            "highest_output": domain.high,
            "targets_outside": reach.outside,
            "share_out_of_reach": reach.lost,
            "expected": 0.0,
        },
    )
    probabilities = domain.shape == "distribution" or (
        domain.shape == "box" and domain.low == 0.0 and domain.high == 1.0
    )
    if not reach.numbers and probabilities:
        name = "a softmax" if domain.shape == "distribution" else "a sigmoid"
        return result(
            Verdict.FAILED,
            f"The outputs are limited to {span} however the weights are moved, and the loss takes "
            f"logits: its best value within these limits is still {reach.lost:.0%} of that of a "
            "constant.",
            f"Drop {name} at the end of the network, or use a loss of probabilities.",
            Suspect(
                cause="double-softmax",
                component="head",
                where="last axis of the outputs",
                why=f"outputs behind {name} are normalised a second time by the loss",
            ),
        )
    part = f"{reach.outside:.0%} of the targets are outside, " if reach.numbers else ""
    return result(
        Verdict.FAILED,
        f"The outputs are limited to {span} however the weights are moved: {part}"
        f"{reach.lost:.0%} of the loss of a constant output cannot be removed.",
        "Drop the activation at the end of the network, or bring the targets into its range.",
        Suspect(
            cause="outputs-cannot-reach-targets",
            component="head",
            where=f"outputs in {span}",
            why=f"with weights 10 and 100 times as large the outputs still end at {span}",
        ),
    )


def measure_range(context: Context, probe: Probe) -> Reach | None:
    """Measures what the limits of the outputs cost; None without limits or where it is unknown."""
    if len(probe.outputs) != 1 or probe.reading is None:
        return None
    domain = probe.domains[0]
    if not domain.bounded or not domain.measured:
        return None
    if probe.reading.kind == "number":
        return _numbers(context, probe, domain)
    return _labels(context, probe, domain)


def _numbers(context: Context, probe: Probe, domain: Domain) -> Reach | None:
    assert probe.reading is not None
    _, targets, outputs = context.at_init
    answer = probe.reading.ideal(targets, tuple(np.shape(outputs)))
    inside = np.clip(answer, domain.low, domain.high)
    room = 0.05 * (float(answer.std()) or 1.0)
    outside = float(np.mean(np.abs(inside - answer) > room))
    tree = lambda x: probe.tree([x.astype(np.float32)])  # noqa: E731
    middle = np.broadcast_to(np.clip(answer.mean(axis=0), domain.low, domain.high), answer.shape)
    means = []
    for x in (answer, inside, middle):
        value, weight = (np.asarray(v, np.float64) for v in context.losses(tree(x), targets))
        means.append(float((value * weight).sum() / max(weight.sum(), 1e-9)))
    best, reached, constant = means
    if not np.isfinite(means).all() or not best < min(reached, constant):
        return None  # the number itself is not what this loss asks for
    return Reach(domain, (reached - best) / (constant - best), outside, numbers=True)


def _labels(context: Context, probe: Probe, domain: Domain) -> Reach | None:
    """Measures the best outputs within limits, for a loss that takes logits."""
    assert probe.reading is not None
    ideal = probe.reading.ideal(probe.targets, probe.shape)
    if not _takes_logits(context, probe, ideal):
        return None
    high = np.minimum(domain.high, 30.0)
    low = np.maximum(domain.low, -30.0)
    best = probe.raw(60.0 * ideal - 30.0)
    reached = probe.raw(np.where(ideal > 0.5, np.asarray(high), np.asarray(low)))
    constant = probe.raw(np.zeros(np.shape(ideal)))
    if not np.isfinite([best.mean(), reached.mean(), constant.mean()]).all():
        return None
    if not best.mean() < constant.mean():
        return None
    lost = float((reached.mean() - best.mean()) / (constant.mean() - best.mean()))
    return Reach(domain, lost, float("nan"), numbers=False, scores=True)


def _takes_logits(context: Context, probe: Probe, ideal: np.ndarray) -> bool:
    """Tells whether the loss is one of logits: a known one, or blind to a common shift."""
    law = context.law
    if law is not None:
        return law.loss.kind != "number"
    assert probe.reading is not None
    if probe.reading.kind not in ("classes", "one-hot"):
        # Probabilities outside [0, 1] are an error or cut off; logits go on counting.
        values = [probe.raw(size * (2 * ideal - 1)).mean() for size in (1.5, 3.0, 4.5)]
        if not np.isfinite(values).all():
            return False
        first, second = values[0] - values[1], values[1] - values[2]
        return bool(0 < second < first)
    z = probe.draw(1.0)[0]
    shift = np.random.default_rng(context.seed).normal(size=(*probe.shape[:-1], 1))
    base, moved = probe.raw(z), probe.raw(z + 2.0 * shift)
    if not (np.isfinite(base).all() and np.isfinite(moved).all()):
        return False
    return bool(np.allclose(base, moved, rtol=1e-3, atol=1e-4)) and bool(np.ptp(base) > 1e-3)


def check_range(context: Context) -> Finding | None:
    """Measures and judges whether outputs can reach their targets; None if nothing is wrong."""
    return judge_range(measure_range(context, probe_of(context)))
