"""What may be wrong with a step, and how troubles are worded as one finding (G15)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jrecipe.checks.result import Finding, Suspect, Verdict, concluding

ITEM, CHECK = "G15", "reference-step"


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


_REMEDIES = {
    "batch-ignored": "Use the batch that the step is given, not one kept from before.",
    "clip-always-active": "Raise the limit of the gradient norm above that of a usual gradient.",
    "decay-coupled": "Shrink the weights after the adaptive step (optax.adamw), and downwards.",
    "decay-dominates": "Lower the weight decay until the loss decides where the weights go.",
    "double-softmax": "Hand the loss plain outputs (logits), without a softmax in the step.",
    "examples-ignored": "Let every example of the batch into the mean that is differentiated.",
    "frozen-parameters-move": "Mask the optimiser: optax.set_to_zero() for the frozen paths.",
    "gradients-accumulate": "Reset the sum of gradients after each update.",
    "init-symmetric": "Draw the weights of every unit at random; tiled weights never part.",
    "labels-shifted": "Keep inputs and targets of a batch in one order inside the step.",
    "leaf-not-in-optimizer": "Give this parameter to the optimiser, or declare it as frozen.",
    "loss-clipped": "Clip the gradient's norm if anything, never the loss of an example.",
    "loss-depends-on-batch": "Compare shapes in the loss, as (b, 1) and (b,) broadcast; "
    "normalise over classes, never over the batch.",
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
