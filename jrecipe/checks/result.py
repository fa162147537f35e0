"""What a check says: a verdict, the numbers behind it, and what to suspect.

A finding always carries the numbers measured and the numbers expected, so that a reader can
disagree with the verdict.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence

from jrecipe.figures import Figure


class Verdict(enum.StrEnum):
    """How a check came out, worst first."""

    FAILED = "FAILED"
    WARNED = "WARNED"
    SKIPPED = "SKIPPED"
    PASSED = "PASSED"


COMPONENTS = (
    "data",
    "labels",
    "split",
    "augmentation",
    "model",
    "init",
    "head",
    "loss",
    "optimizer",
    "schedule",
    "step",
    "eval",
)

# The one documented list of causes: code -> what it means. Users silence by code.
CAUSES: dict[str, str] = {
    "augmentation-active": "training inputs are changed at random although augmentation is off",
    "batch-mixing": "an output depends on other examples of the batch",
    "causal-leak": "an autoregressive output depends on inputs it must not see",
    "constant-feature": "an input feature, or a whole example, is constant",
    "constant-input": "all examples have the same input",
    "data-on-wrong-scale": "inputs enter the network unnormalised",
    "decay-dominates": "regularisation outweighs the loss in the update",
    "double-softmax": "outputs that are a distribution already are normalised again by the loss",
    "duplicated-rows": "many training examples are copies of one another",
    "eval-not-deterministic": "evaluation differs from call to call, as with dropout left on",
    "eval-depends-on-batch": "evaluation of an example depends on its batch",
    "head-bias-ignores-prior": "the initial output is far from the best constant output",
    "hidden-randomness": "equal seeds do not give equal runs",
    "human-disagrees": "a person's answers do not match the recorded targets",
    "imbalance": "some classes are much rarer than others",
    "init-scale": "initial outputs are much too large",
    "inputs-ignored": "real inputs do no better than blank ones",
    "label-conflict": "equal inputs carry different labels",
    "label-leak": "blank inputs, or an untrained network, already know the labels",
    "label-out-of-range": "a label is outside the range that the loss allows",
    "learning-rate-too-high": "a smaller learning rate trains better, and this one diverges",
    "learning-rate-too-low": "the predictions hardly move",
    "loss-clipped": "examples with a large loss give no gradient",
    "loss-depends-on-batch": "the loss of an example depends on other examples",
    "loss-scale": "the loss is not the mean over examples of what the law says",
    "missing-class": "a class has no example in a split",
    "no-learning": "training does not lower the loss",
    "not-finite": "a value is NaN or infinite",
    "outputs-cannot-reach-targets": "no output of the network can reach the targets",
    "parameters-frozen": "some parameters never change",
    "prepared-differently": "training and evaluation inputs are prepared differently",
    "raises": "the task's own code raised an exception",
    "split-leakage": "examples of one split occur in another",
    "vectorisation": "batched, compiled and one-by-one evaluation disagree",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suspect:
    """A likely cause of a finding; the first of a finding is the likeliest.

    Attributes:
      cause: a code from `CAUSES`, stable across versions.
      component: the part of the task to look at, one of `COMPONENTS`.
      where: parameter path, axis, split, layer or rows; empty if the whole component.
      why: the evidence for it, one sentence.

    Raises:
      ValueError: for a cause or component that is not on the list.
    """

    cause: str
    component: str
    where: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise ValueError(f"Suspect.cause {self.cause!r} is not listed in CAUSES; add it there.")
        if self.component not in COMPONENTS:
            raise ValueError(f"Suspect.component {self.component!r} is none of {COMPONENTS}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check measured and concluded.

    Attributes:
      item: id of the recipe item, such as "B4".
      check: name of the check, such as "loss-at-init".
      verdict: PASSED, WARNED, FAILED or SKIPPED.
      evidence: name -> number or short text; measured and expected values alike.
      finding: what was seen, one sentence. For SKIPPED: why it could not be judged.
      remedy: what to try first; empty unless something is wrong.
      suspects: likely causes, likeliest first; empty unless WARNED or FAILED.
      figures: pictures of the evidence.
    """

    item: str
    check: str
    verdict: Verdict
    finding: str
    evidence: Mapping[str, float | int | str | bool | None] = dataclasses.field(
        default_factory=dict
    )
    remedy: str = ""
    suspects: Sequence[Suspect] = ()
    figures: Sequence[Figure] = ()

    def __str__(self) -> str:
        lines = [f"{self.verdict:7} {self.item:4} {self.check}: {self.finding}"]
        if self.remedy:
            lines.append(f"             try: {self.remedy}")
        return "\n".join(lines)

    @property
    def ok(self) -> bool:
        """Whether this finding lets a gate open: anything but FAILED."""
        return self.verdict is not Verdict.FAILED


def concluding(
    item: str,
    check: str,
    evidence: Mapping[str, float | int | str | bool | None],
    figures: Sequence[Figure] = (),
) -> Callable[..., Finding]:
    """Returns how a judge concludes: `(verdict, finding, remedy="", *suspects) -> Finding`.

    Args:
      item: id of the recipe item.
      check: name of the check.
      evidence: what was measured and expected, the same for every conclusion.
      figures: pictures of it.
    """

    def conclude(verdict: Verdict, finding: str, remedy: str = "", *suspects: Suspect) -> Finding:
        return Finding(
            item=item,
            check=check,
            verdict=verdict,
            evidence=evidence,
            finding=finding,
            remedy=remedy,
            suspects=suspects,
            figures=figures,
        )

    return conclude
