"""What the measurements of the reference step mean: judges turn numbers into troubles (G15)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.checks.step_explain import Explanation
from jrecipe.checks.step_interventions import Interventions

ITEM, CHECK = "G15", "reference-step"

_REMEDIES = {
    "batch-ignored": "Use the batch that the step is given, not one kept from before.",
    "clip-always-active": "Raise the limit of the gradient norm above that of a usual gradient.",
    "decay-coupled": "Shrink the weights after the adaptive step (optax.adamw), and downwards.",
    "decay-dominates": "Lower the weight decay until the loss decides where the weights go.",
    "double-softmax": "Hand the loss plain outputs (logits), without a softmax in the step.",
    "examples-ignored": "Let every example of the batch into the mean that is differentiated.",
    "frozen-parameters-move": "Mask the optimiser: optax.set_to_zero() for the frozen paths.",
    "gradients-accumulate": "Reset the sum of gradients after each update.",
    "labels-shifted": "Keep inputs and targets of a batch in one order inside the step.",
    "leaf-not-in-optimizer": "Give this parameter to the optimiser, or declare it as frozen.",
    "loss-clipped": "Clip the gradient's norm if anything, never the loss of an example.",
    "loss-depends-on-batch": "Normalise over the axis of the classes, never over the batch.",
    "loss-reported-wrong": "Report the mean of the per-example losses.",
    "loss-scale": "Divide by the number of examples: minimise the mean.",
    "not-finite": "Find the first operation that gives NaN, as with JAX_DEBUG_NANS=1.",
    "parameters-frozen": "Return the new parameters in the state.",
    "raises": "Return (state, metrics) from step, with parameters as they were made by init.",
    "stale-parameters": "Take the gradient at the weights of the state that the step is given.",
    "state-not-threaded": "Return the new optimiser and model state, and use them next time.",
    "statistics-never-updated": "Run the network in training mode in the step and keep its state.",
    "update-differs": "Compare the step with jr.train.make_update line by line.",
    "wrong-sign": "Subtract the gradient times the learning rate.",
    "learning-rate-too-high": "Divide the learning rate by 10 until the loss falls.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that is wrong with a step.

    Attributes:
      certain: whether it is proved (FAILED) or likely (WARNED).
      cause: a code from `CAUSES`.
      component: the part to look at.
      where: as precisely as it is known.
      why: the evidence, one sentence.
    """

    certain: bool
    cause: str
    component: str
    where: str
    why: str


def judge(
    troubles: Sequence[Trouble],
    evidence: dict[str, float | int | str | bool | None],
    passed: str,
) -> Finding:
    """Puts troubles into one finding, the certain ones first.

    Args:
      troubles: likeliest first; of equal ones (same cause and place) the first is kept.
      evidence: the numbers.
      passed: what to say without any.
    """
    conclude = concluding(ITEM, CHECK, evidence)
    unlike = {(t.cause, t.where): t for t in reversed(troubles)}
    found = [t for t in troubles if unlike[t.cause, t.where] is t]
    found.sort(key=lambda t: not t.certain)
    if not found:
        return conclude(Verdict.PASSED, passed)
    verdict = Verdict.FAILED if found[0].certain else Verdict.WARNED
    suspects = [
        Suspect(cause=t.cause, component=t.component, where=t.where, why=t.why) for t in found[:5]
    ]
    why = found[0].why
    said = f"{why[:1].upper()}{why[1:]}."
    return conclude(verdict, said, _REMEDIES.get(found[0].cause, ""), *suspects)


def judge_leaves(
    names: Sequence[str],
    frozen: Sequence[bool],
    moved: Sequence[bool],
    *,
    steps: int,
    gradients: Sequence[float] | None,
    visible: Sequence[bool],
    component: str = "step",
) -> list[Trouble]:
    """Judges which leaves moved.

    Args:
      names: paths of the leaves.
      frozen: those declared to stay.
      moved: those of which some bit changed.
      steps: updates that were made.
      gradients: root mean square of the gradient of each leaf, None if unknown.
      visible: whether a movement as large as those of other leaves would show beside the values of
        the leaf, rounded as they are.
      component: where the fault would be.
    """
    troubles = [
        Trouble(
            certain=True,
            cause="frozen-parameters-move",
            component="optimizer",
            where=name,
            why=f"{name} is declared frozen and changed within {steps} updates",
        )
        for name, still, did in zip(names, frozen, moved, strict=True)
        if still and did
    ]
    free = [i for i, still in enumerate(frozen) if not still]
    if free and not any(moved[i] for i in free):
        if gradients is not None and not any(gradients[i] > 0 for i in free):
            return troubles  # no gradient to move by: gradient-flow's business
        troubles.append(
            Trouble(
                certain=True,
                cause="parameters-frozen",
                component=component,
                where="every parameter",
                why=f"no parameter changed by a bit in {steps} updates on different batches",
            )
        )
        return troubles
    largest = max((gradients[i] for i in free), default=0.0) if gradients is not None else 0.0
    for i in free:
        if moved[i] or not visible[i]:
            continue
        if gradients is not None and gradients[i] <= 1e-7 * largest:
            continue
        said = "" if gradients is None else f" although its gradient is {gradients[i]:.2g}"
        troubles.append(
            Trouble(
                certain=gradients is not None,
                cause="leaf-not-in-optimizer",
                component="optimizer",
                where=names[i],
                why=f"{names[i]} did not change by a bit in {steps} updates{said}",
            )
        )
    return troubles


def judge_explanation(
    found: Explanation, names: Sequence[str], *, batch: int, width: int
) -> list[Trouble]:
    """Judges what explains the movements.

    Args:
      found: the explanation.
      names: paths of the leaves.
      batch: examples in a batch.
      width: number of outputs of an example, as classes.
    """
    slope = np.array(found.slopes)
    fit, share = found.fit, f"{100 * found.fit.misfit:.2g} % of the movement left unexplained"
    if found.kind and not found.hypothesis:
        return _judge_plain(found, names, batch, width)
    if found.kind:
        named = _named(found, share)
        return [] if named is None else [named]
    troubles = []
    known = slope[slope != 0]
    if len(known) and bool(np.all(known > 0.2)):
        troubles.append(
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where="",
                why=f"every parameter moves up the gradient (cosines from {known.min():.2g})",
            )
        )
    elif len(known) and bool(np.any(known < -0.5)):
        troubles += [
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where=names[i],
                why=f"{names[i]} moves up its gradient (cosine {slope[i]:.2g}), others down",
            )
            for i in np.flatnonzero(slope > 0.5).tolist()
        ]
    if troubles or found.pairing is None:
        return troubles
    shifted = max(found.pairings, key=lambda pair: pair[1], default=("", 0.0))
    if found.pairing < 3.0 and shifted[1] > max(8.0, found.pairing + 5.0):
        return [
            Trouble(
                certain=True,
                cause="labels-shifted",
                component="step",
                where=f"targets {shifted[0]}",
                why=f"the updates follow the targets {shifted[0]} ({shifted[1]:.2g} standard "
                f"deviations over random pairings), not the real ones ({found.pairing:.2g})",
            )
        ]
    if found.pairing < 2.0:
        return [
            Trouble(
                certain=False,
                cause="labels-shifted",
                component="step",
                where="targets of the batch",
                why="the updates follow the batch's own pairs of inputs and targets no more than "
                f"pairs at random ({found.pairing:.2g} standard deviations)",
            )
        ]
    del fit
    return troubles


def _judge_plain(found: Explanation, names: Sequence[str], batch: int, width: int) -> list[Trouble]:
    """Judges gradients that are right, by the factors in front of them."""
    fit = found.fit
    factors = np.array(fit.factors)
    if not len(factors):
        return []
    ratio = float(np.median(factors))
    downhill = ratio if found.kind == "declared" else -ratio
    if downhill < 0:
        return [
            Trouble(
                certain=True,
                cause="wrong-sign",
                component="step",
                where="",
                why=f"every update is {ratio:.3g} times what it should be, uphill"
                if found.kind == "declared"
                else "every update adds the gradient instead of subtracting it",
            )
        ]
    troubles = []
    if fit.decay and len(fit.decay):
        pull = float(np.median(fit.decay))
        if pull > 1.0:
            troubles.append(
                Trouble(
                    certain=False,
                    cause="decay-dominates",
                    component="optimizer",
                    where="",
                    why=f"the decay of the weights is {pull:.2g} times as large in an update as "
                    "the gradient of the loss",
                )
            )
        elif pull < -0.02:
            troubles.append(
                Trouble(
                    certain=True,
                    cause="decay-coupled",
                    component="optimizer",
                    where="",
                    why=f"weight decay has the wrong sign: it makes weights grow, with "
                    f"{-pull:.2g} times the length of the gradient's part",
                )
            )
    if found.kind == "linear":
        later = [h for h in fit.history if h]
        sums = [all(abs(x - 1.0) < 3e-3 for x in h) for h in later]
        if later and all(sums):
            troubles.append(
                Trouble(
                    certain=True,
                    cause="gradients-accumulate",
                    component="step",
                    where="gradient of earlier batches",
                    why="every update contains the gradients of all earlier batches in full",
                )
            )
        elif later and all(h[0] > 20 for h in later):
            troubles.append(
                Trouble(
                    certain=True,
                    cause="batch-ignored",
                    component="step",
                    where="batch of the update before",
                    why="every update is the gradient of the batch before, not of its own",
                )
            )
    if found.kind != "declared":
        return troubles
    return troubles + _judge_ratio(found, factors, ratio, batch, width)


def _judge_ratio(
    found: Explanation, factors: np.ndarray, ratio: float, batch: int, width: int
) -> list[Trouble]:
    tolerance = max(2 * found.tolerance, 1e-2)
    steady = float(np.ptp(factors)) <= tolerance * abs(ratio)
    if found.clipped and ratio < 0.05:
        return [
            Trouble(
                certain=False,
                cause="clip-always-active",
                component="optimizer",
                where="",
                why="all updates have one length, whatever the gradient is, at "
                f"{ratio:.2g} of the declared one",
            )
        ]
    if not steady or found.clipped or abs(ratio - 1) <= tolerance:
        if steady or found.clipped or found.default:
            return []
        return [
            Trouble(
                certain=False,
                cause="update-differs",
                component="schedule",
                where="",
                why="updates are from "
                f"{factors.min():.3g} to {factors.max():.3g} times the declared ones",
            )
        ]
    plain = {"the batch size": float(batch), "1/batch size": 1.0 / batch}
    if width > 1:
        plain |= {"the number of outputs": float(width), "1/number of outputs": 1.0 / width}
    for name, value in plain.items():
        if abs(ratio - value) <= tolerance * value and not found.default and value != 1.0:
            return [
                Trouble(
                    certain=True,
                    cause="loss-scale",
                    component="step",
                    where="axis 0, the batch" if "batch" in name else "output axis",
                    why=f"every update is {ratio:.4g} times the declared one, which is {name}",
                )
            ]
    if found.default:
        return []
    return [
        Trouble(
            certain=False,
            cause="update-differs",
            component="optimizer",
            where="every parameter",
            why=f"every update is {ratio:.4g} times that of the declared optimiser",
        )
    ]


_HYPOTHESES: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "parameters of the",
        "stale-parameters",
        "step",
        "",
        "the gradient is taken at the {0}",
    ),
    ("batch of the update before", "batch-ignored", "step", "{0}", "updates use the {0}"),
    ("first batch", "batch-ignored", "step", "{0}", "all updates use the {0}"),
    (
        "sum of gradients",
        "gradients-accumulate",
        "step",
        "gradient of earlier batches",
        "every update is that of the {0} of all batches so far",
    ),
    (
        "reset",
        "state-not-threaded",
        "step",
        "optimizer state",
        "every update is that of an optimiser that starts anew",
    ),
    ("targets", "labels-shifted", "step", "{0}", "updates are those of the batch with {0}"),
    ("rows", "examples-ignored", "step", "batch {0}", "updates leave out batch {0}"),
    (
        "without",
        "examples-ignored",
        "step",
        "{1} of the batch",
        "updates are those {0}",
    ),
    ("loss over", "loss-clipped", "step", "{0}", "updates leave out examples with a {0}"),
    (
        "softmax over the batch",
        "loss-depends-on-batch",
        "step",
        "axis 0",
        "updates are those of the loss after a {0}",
    ),
    (
        "log-softmax over the batch",
        "loss-depends-on-batch",
        "step",
        "axis 0",
        "updates are those of the loss after a {0}",
    ),
    ("softmax", "double-softmax", "step", "outputs", "updates are those after one more {0}"),
    ("sigmoid", "double-softmax", "step", "outputs", "updates are those after one more {0}"),
    ("tanh", "update-differs", "step", "outputs", "updates are those after one more {0}"),
    (
        "evaluation mode",
        "statistics-never-updated",
        "step",
        "model state",
        "updates are those of the network in {0}",
    ),
)


def _named(found: Explanation, share: str) -> Trouble | None:
    """Returns what a hypothesis that fits means, None if nothing is wrong with it."""
    name = found.hypothesis
    if name == "penalty":
        heavy = found.l2 > 1.0
        if not (heavy or found.decoupled) and found.default:
            return None
        return Trouble(
            certain=found.decoupled,
            cause="decay-dominates" if heavy and not found.decoupled else "decay-coupled",
            component="optimizer",
            where="",
            why="weight decay enters the gradient before Adam divides it, at "
            f"{found.l2:.2g} times the gradient of the loss",
        )
    for start, cause, component, where, why in _HYPOTHESES:
        if name.startswith(start):
            rest = name.removeprefix("without ")
            said = why.format(name)
            return Trouble(
                certain=found.identity > 5 * found.tolerance,
                cause=cause,
                component=component,
                where=where.format(name, rest),
                why=f"{said} ({share}; without that, {100 * min(found.identity, 1):.2g} %)",
            )
    return Trouble(
        certain=False, cause="update-differs", component="step", where=name, why=f"{name}: {share}"
    )


def judge_interventions(found: Interventions, explained: bool, batch: int) -> list[Trouble]:
    """Judges what an update depends on.

    Args:
      found: what was changed and what followed.
      explained: the gradients are known to be right, so the order of the examples needs no test.
      batch: number of examples in the batch.
    """
    if found.batch_ignored:
        where = "batch of an earlier update" if found.earlier_used else ""
        return [
            Trouble(
                certain=True,
                cause="batch-ignored",
                component="step",
                where=where,
                why="an update is the same to the last bit on another batch",
            )
        ]
    troubles = []
    if found.ignored:
        few = ", ".join(map(str, found.ignored[:12])) + (", ..." if len(found.ignored) > 12 else "")
        rows = f"batch rows {few}"
        counted = f"{len(found.ignored)} of {found.tried} examples tried"
        if found.hard:
            low, high = found.threshold
            troubles.append(
                Trouble(
                    certain=True,
                    cause="loss-clipped",
                    component="step",
                    where=f"loss between {low:.3g} and {high:.3g}",
                    why=f"{counted} have no part in the update, all those with a loss of "
                    f"{high:.3g} and more",
                )
            )
        troubles.append(
            Trouble(
                certain=True,
                cause="examples-ignored",
                component="step",
                where=rows,
                why=f"other targets for {rows} leave the update the same to the last bit",
            )
        )
    elif (
        not explained
        and not found.random
        and found.permuted > 0.1
        and found.rotated < 1e-2 * found.permuted
        and batch > 2
    ):
        troubles.append(
            Trouble(
                certain=False,
                cause="labels-shifted",
                component="step",
                where="targets of the batch",
                why="an update changes with the order of the examples "
                f"(by {found.permuted:.2g} of its size), but not if they are rotated",
            )
        )
    return troubles


def judge_duplication(factor: float | None) -> list[Trouble]:
    """Judges how much longer an update is on a batch written twice: 1 for a mean, 2 for a sum."""
    if factor is None or abs(factor - 2.0) > 0.02:
        return []
    return [
        Trouble(
            certain=False,
            cause="loss-scale",
            component="step",
            where="axis 0, the batch",
            why=f"a batch written twice moves the weights {factor:.3g} times as far: the loss is "
            "summed over the examples",
        )
    ]


def judge_reported(
    reported: Sequence[float | None], expected: Sequence[float], *, batch: int, width: int
) -> list[Trouble]:
    """Judges the loss that a step reports.

    Only one and the same factor in every update is held against it: a loss may contain a penalty or
    be a moving average, and may be told in bits.

    Args:
      reported: of each update, None if there was none.
      expected: mean loss of each batch at the weights before the update.
      batch: number of examples of a batch.
      width: number of outputs of an example.
    """
    pairs = [(r, e) for r, e in zip(reported, expected, strict=False) if r is not None]
    if len(pairs) < 3 or not all(np.isfinite(e) and abs(e) > 1e-3 for _, e in pairs):
        return []
    r, e = (np.array(x, np.float64) for x in zip(*pairs, strict=True))
    ratio = r / e
    why = ""
    if np.ptp(e) > 1e-2 * abs(e.mean()) and np.ptp(r) == 0:
        why = f"every update reports a loss of {r[0]:.4g}, while the batches have " + ", ".join(
            f"{x:.4g}" for x in e
        )
    plain = {"-1": -1.0, "the batch size": float(batch), "1/batch size": 1.0 / batch}
    if width > 1:
        plain |= {"the number of outputs": float(width), "1/number of outputs": 1.0 / width}
    for name, value in plain.items():
        if value != 1.0 and np.all(np.abs(ratio / value - 1) < 5e-3):
            why = f"steps report {ratio.mean():.4g} times the mean loss of their batch, {name}"
    constant = np.ptp(ratio) < 1e-4 * abs(ratio.mean()) and np.ptp(e) > 1e-2 * abs(e.mean())
    bits = abs(ratio.mean() * np.log(2) - 1) < 1e-3
    if not why and constant and abs(ratio.mean() - 1) > 1e-2 and not bits:
        why = f"steps report {ratio.mean():.4g} times the mean loss of their batch, each time"
    if not why:
        return []
    return [
        Trouble(
            certain=False,
            cause="loss-reported-wrong",
            component="step",
            where='metrics["loss"]',
            why=why,
        )
    ]


def judge_descent(
    losses: Sequence[float], slope: float | None, size: float, *, frozen: bool
) -> list[Trouble]:
    """Judges whether updates on one batch lower its loss, where no gradient is known.

    Args:
      losses: of the batch, at the start and after each update on it.
      slope: how the loss changes along the first update, per length of it; None if unknown.
      size: length of the first update relative to that of the parameters.
      frozen: nothing moves, so nothing can be said.
    """
    if frozen or len(losses) < 3 or not np.all(np.isfinite(losses)):
        return []
    rises = np.diff(losses) > 0
    if not (np.all(rises) and losses[-1] > losses[0] + 1e-3 * abs(losses[0])):
        return []
    if slope is not None and slope <= 0:
        return []
    small = size < 0.1 or slope is not None
    return [
        Trouble(
            certain=slope is not None,
            cause="wrong-sign" if small else "learning-rate-too-high",
            component="step" if small else "optimizer",
            where="",
            why=f"{len(rises)} updates on one batch raise its loss each time, from "
            f"{losses[0]:.4g} to {losses[-1]:.4g}",
        )
    ]
