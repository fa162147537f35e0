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
    "augmentation-breaks-labels": "augmentation moves the inputs, but not the targets with them",
    "batch-ignored": "an update does not depend on the batch it is given",
    "batch-mixing": "an output depends on other examples of the batch",
    "causal-leak": "an autoregressive output depends on inputs it must not see",
    "checkpoint-differs": "the state that was kept does not score what it scored in training",
    "clip-always-active": "gradients are clipped at every update, even small ones",
    "constant-feature": "an input feature, or a whole example, is constant",
    "constant-input": "all examples have the same input",
    "damaged-file": "a file of the data cannot be read, or not to its end",
    "damaged-line": "a line of a table cannot be read",
    "data-on-wrong-scale": "inputs enter the network unnormalised",
    "dead-units": "units or layers answer the same for every input and pass no gradient on",
    "decay-coupled": "weight decay is coupled to the gradient where declared apart, or reversed",
    "decay-dominates": "regularisation outweighs the loss in the update",
    "decay-on-bias": "weight decay shrinks biases and normalisation scales",
    "double-softmax": "outputs that are a distribution already are normalised again by the loss",
    "duplicated-rows": "many training examples are copies of one another",
    "eval-depends-on-batch": "evaluation of an example depends on its batch",
    "eval-not-deterministic": "evaluation differs from call to call, as with dropout left on",
    "examples-ignored": "some examples of a batch have no part in its update",
    "frozen-parameters-move": "parameters that were declared frozen change",
    "gradient-cut": "parameters that the outputs depend on get no gradient",
    "gradients-accumulate": "gradients of earlier batches are never reset",
    "head-bias-ignores-prior": "the initial output is far from the best constant output",
    "hidden-randomness": "equal seeds do not give equal runs",
    "human-disagrees": "a person's answers do not match the recorded targets",
    "imbalance": "some classes are much rarer than others",
    "init-scale": "initial outputs are much too large",
    "init-symmetric": "units of a layer start equal, and stay equal",
    "inputs-ignored": "real inputs do no better than blank ones",
    "label-conflict": "equal inputs carry different labels",
    "label-leak": "blank inputs, or an untrained network, already know the labels",
    "label-noise": "many labels are wrong",
    "label-out-of-range": "a label is outside the range that the loss allows",
    "labels-shifted": "labels stand beside the inputs of other rows",
    "leaf-not-in-optimizer": "the optimiser never changes a parameter",
    "learning-rate-too-high": "a smaller learning rate trains better, and this one diverges",
    "learning-rate-too-low": "the predictions hardly move",
    "loss-clipped": "examples with a large loss give no gradient",
    "loss-depends-on-batch": "the loss of an example depends on other examples",
    "loss-ignores-outputs": "the loss does not depend on the outputs",
    "loss-reported-wrong": "the loss that a step reports is not that of its batch",
    "loss-scale": "the loss is not the mean over examples of what the law says",
    "loss-unbounded": "the loss has no lowest value, as with labels outside the range of the loss",
    "metric-wrong": "perfect predictions do not get the best score",
    "miscalibrated": "the network's confidence does not match its accuracy",
    "missing-class": "a class has no example in a split",
    "missing-nonlinearity": "layers follow each other with nothing but linear operations between",
    "no-learning": "training does not lower the loss",
    "not-finite": "a value is NaN or infinite",
    "outputs-cannot-reach-targets": "no output of the network can reach the targets",
    "overfitting": "the network fits its training examples far better than new ones",
    "padding-in-loss": "padded positions count in the loss",
    "padding-read": "masked inputs change outputs that should not see them",
    "parameters-frozen": "some parameters never change",
    "parameters-unused": "no output depends on a parameter",
    "prepared-differently": "training and evaluation inputs are prepared differently",
    "pretrained-not-loaded": "weights that should be given are drawn at random",
    "raises": "the task's own code raised an exception",
    "schedule-ends-early": "the learning rate is down to nothing long before training ends",
    "sentinel-value": "a number far from all others stands for a missing value",
    "shortcut": "something trivial, as the position in the file, predicts the target",
    "split-leakage": "examples of one split occur in another",
    "stale-parameters": "an update starts from other weights than those of the state",
    "state-not-threaded": "what training should carry from step to step is lost",
    "statistics-never-updated": "stored normalisation statistics do not follow training",
    "train-eval-differ": "the same examples score differently in training and in evaluation mode",
    "unshuffled-data": "training examples are stored in the order of their targets",
    "unusable-target": "an example has no target, or one of another kind than the rest",
    "update-differs": "an update is not that of the declared loss and optimiser",
    "val-better-than-train": "validation scores better than training can explain",
    "variance-shift": "dropout enlarges the variances that normalisation stores for evaluation",
    "vectorisation": "batched, compiled and one-by-one evaluation disagree",
    "wrong-loss": "the loss does not suit its outputs or targets",
    "wrong-sign": "training raises the loss instead of lowering it",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Suspect:
    """A likely cause of a finding; the first of a finding is the likeliest.

    Attributes:
      cause: a code from `CAUSES`, stable across versions.
      component: the part of the task to look at, one of `COMPONENTS`.
      where: parameter path, axis, split, layer or rows; empty if the whole component.
      why: the evidence for it, one sentence.
      see: the item of another finding that measured it, where this one only follows from it.

    Raises:
      ValueError: for a cause or component that is not on the list.
    """

    cause: str
    component: str
    where: str = ""
    why: str = ""
    see: str = ""

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
