"""Every check, once: which recipe item it judges, and the function that does.

`run_checks` is the one place where an exception of the task's own code is caught: it becomes a
finding that shows the user's line.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from jrecipe.checks.context import Context
from jrecipe.checks.result import CAUSES, Finding, Suspect, Verdict
from jrecipe.task import Task
from jrecipe.train.fitted import Fit
from jrecipe.types import TaskError

Stage = Literal["inspect", "skeleton", "during", "after"]


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
      item: id of the recipe item.
      name: stable name, as in `Finding.check`.
      stage: the stage of the recipe it belongs to; "during" and "after" look at a `Fit`.
      question: what it asks, for `jrecipe items`.
      function: "module.function" inside `jrecipe.checks`, taking a `Context` or a `Fit`.
    """

    item: str
    name: str
    stage: Stage
    question: str
    function: str

    @property
    def moment(self) -> str:
        """When it looks: "before", "during" or "after" training."""
        return self.stage if self.stage in ("during", "after") else "before"

    def run(self, context: Context | Fit) -> tuple[Finding, ...]:
        """Runs the check; some give more than one finding."""
        module, name = self.function.split(".")
        function = getattr(importlib.import_module(f"jrecipe.checks.{module}"), name)
        found = function(context)
        return (found,) if isinstance(found, Finding) else tuple(found)


CHECKS = (
    Check(
        "A1",
        "duplicates",
        "inspect",
        "Do examples repeat, or leak from one split into another?",
        "duplicates.check_duplicates",
    ),
    Check(
        "A2",
        "corrupt",
        "inspect",
        "Are all inputs and targets finite, varied, in range and consistent?",
        "corrupt.check_corrupt",
    ),
    Check(
        "A3",
        "imbalance",
        "inspect",
        "How are the targets distributed, alike in every split?",
        "imbalance.check_imbalance",
    ),
    Check(
        "B1",
        "fixed-seed",
        "skeleton",
        "Do two runs from one seed agree to the bit?",
        "fixed_seed.check_fixed_seed",
    ),
    Check(
        "B2",
        "simplify",
        "skeleton",
        "Is the skeleton free of augmentation, dropout and decay?",
        "simplify.check_simplify",
    ),
    Check(
        "B3",
        "exact-eval",
        "skeleton",
        "Is evaluation exact, repeatable and independent of the batch?",
        "exact_eval.check_exact_eval",
    ),
    Check(
        "B4",
        "loss-at-init",
        "skeleton",
        "Is the untrained loss what an uninformed network scores?",
        "loss_at_init.check_loss_at_init",
    ),
    Check(
        "B5",
        "init-well",
        "skeleton",
        "Does the final bias start at the best constant output?",
        "init_bias.check_init_bias",
    ),
    Check("B6", "human-baseline", "skeleton", "What does a person score?", "human.check_human"),
    Check(
        "B7",
        "blank-inputs",
        "skeleton",
        "Does the network do better with its inputs than without?",
        "blank_inputs.check_blank_inputs",
    ),
    Check(
        "B8",
        "overfit-one-batch",
        "skeleton",
        "Can a few examples be learned by heart?",
        "overfit_batch.check_overfit_batch",
    ),
    Check(
        "B9",
        "capacity",
        "skeleton",
        "Does more capacity lower the training loss?",
        "capacity.check_capacity",
    ),
    Check(
        "B10",
        "before-net",
        "skeleton",
        "What exactly enters the network?",
        "before_net.check_before_net",
    ),
    Check(
        "B11",
        "prediction-dynamics",
        "skeleton",
        "How do predictions move during training?",
        "dynamics.check_dynamics",
    ),
    Check(
        "B12",
        "dependencies",
        "skeleton",
        "Does each output depend on its own input only?",
        "dependencies.check_dependencies",
    ),
    Check(
        "B13",
        "generalise",
        "skeleton",
        "Do loop, batch, jit, vmap and shards agree?",
        "generalise.check_generalise",
    ),
    Check(
        "A1",
        "near-duplicates",
        "inspect",
        "Are examples of one split nearly those of another?",
        "near_duplicates.check_near_duplicates",
    ),
    Check(
        "A2",
        "sentinels",
        "inspect",
        "Does a number far from all others stand for a missing value?",
        "sentinels.check_sentinels",
    ),
    Check(
        "A4",
        "shortcuts",
        "inspect",
        "Does something trivial predict the target, as the position in the file?",
        "shortcuts.check_shortcuts",
    ),
    Check(
        "A5",
        "label-noise",
        "inspect",
        "How many labels are wrong, and which?",
        "label_noise.check_label_noise",
    ),
    Check(
        "D9",
        "dropout-before-norm",
        "skeleton",
        "Does dropout change the statistics that normalisation stores?",
        "dropout_norm.check_dropout_norm",
    ),
    Check(
        "G1",
        "augmentation-aligned",
        "skeleton",
        "Do targets follow when augmentation moves the inputs?",
        "augmentation_aligned.check_augmentation_aligned",
    ),
    Check(
        "G3",
        "loss-function",
        "skeleton",
        "Is the loss a sound one for these outputs and targets?",
        "loss_function.check_loss_function",
    ),
    Check(
        "G7",
        "labels-aligned",
        "inspect",
        "Do labels stand beside their own rows?",
        "labels_aligned.check_labels_aligned",
    ),
    Check(
        "G12",
        "train-eval-agree",
        "skeleton",
        "Do training and evaluation mode agree once the network is trained?",
        "train_eval.check_train_eval",
    ),
    Check(
        "G14",
        "optimizer",
        "skeleton",
        "What does the optimiser do with gradients it is given?",
        "optimizer.check_optimizer",
    ),
    Check(
        "G15",
        "reference-step",
        "skeleton",
        "Does the trainer move the weights as the reference step does?",
        "reference_step.check_reference_step",
    ),
    Check(
        "G18",
        "gradient-flow",
        "skeleton",
        "Does every parameter get a gradient, and does every unit live?",
        "gradient_flow.check_gradient_flow",
    ),
    Check(
        "G19",
        "layers",
        "skeleton",
        "Is each layer on a good scale, with a non-linearity between?",
        "layers.check_layers",
    ),
    Check(
        "B3",
        "metric",
        "skeleton",
        "Do perfect predictions get the best score?",
        "metric_sound.check_metric",
    ),
)


FIT_CHECKS = (
    Check(
        "C4",
        "monitor",
        "during",
        "Do updates, gradients and predictions move as they should?",
        "during.check_during",
    ),
    Check(
        "D11",
        "generalisation-gap",
        "after",
        "How much worse is the best state on new examples, and is that credible?",
        "after.check_gap",
    ),
    Check(
        "D11",
        "best-restored",
        "after",
        "Does the state that was kept score what it scored in training?",
        "after.check_restored",
    ),
    Check(
        "A9",
        "calibration",
        "after",
        "Is the network as sure as it may be?",
        "after.check_calibration",
    ),
    Check(
        "D13",
        "inside",
        "after",
        "Which layers of the trained network are dead, saturated, or out of the gradient's reach?",
        "inside.check_inside",
    ),
)


def select(only: Iterable[str] = (), stage: Stage | None = None) -> tuple[Check, ...]:
    """Returns the checks of a stage whose item or name is in `only`; all if it is empty.

    Raises:
      TaskError: for an item or name that no check has.
    """
    wanted = [name.strip() for name in only if name.strip()]
    known = {name.lower() for check in CHECKS for name in (check.item, check.name)}
    for name in wanted:
        if name.lower() not in known:
            items = ", ".join(check.item for check in CHECKS)
            raise TaskError(f"There is no check {name!r}; there are {items}, or their names.")
    lower = {name.lower() for name in wanted}
    return tuple(
        check
        for check in CHECKS
        if (stage is None or check.stage == stage)
        and (not lower or lower & {check.item.lower(), check.name.lower()})
    )


def run_checks(
    context: Context,
    checks: Sequence[Check] = CHECKS,
    ignore: Iterable[str] = (),
    progress: Callable[[Check], None] | None = None,
) -> tuple[Finding, ...]:
    """Runs checks on a task; their order changes nothing.

    Args:
      context: the task under examination.
      checks: which, see `select`.
      ignore: codes of causes to silence (`CAUSES`), or items.
      progress: called with each check before it runs.

    Raises:
      TaskError: for a code in `ignore` that is not listed.
    """
    return _run(context, context.task, checks, ignore, progress)


def run_fit_checks(
    fit: Fit, checks: Sequence[Check] = FIT_CHECKS, ignore: Iterable[str] = ()
) -> tuple[Finding, ...]:
    """Runs the checks of the time during and after training on a run; see `run_checks`."""
    return _run(fit, fit.task, checks, ignore, None)


def _run(
    subject: Context | Fit,
    task: Task,
    checks: Sequence[Check],
    ignore: Iterable[str],
    progress: Callable[[Check], None] | None,
) -> tuple[Finding, ...]:
    silenced = tuple(ignore)
    known = (*CHECKS, *FIT_CHECKS)
    names = {check.item for check in known} | {check.name for check in known} | set(CAUSES)
    for code in silenced:
        if code not in names:
            raise TaskError(
                f"ignore has {code!r}, which is no cause, item or check; causes are "
                f"{', '.join(sorted(CAUSES))}."
            )
    findings: list[Finding] = []
    for check in checks:
        if check.item in silenced or check.name in silenced:
            continue
        if progress is not None:
            progress(check)
        try:
            found = check.run(subject)
        except (
            Exception
        ) as error:  # the task's code runs inside the check: whatever it raises is a finding
            found = (_raised(check, task, error),)
        findings.extend(silence(finding, silenced) for finding in found)
    return tuple(findings)


def silence(finding: Finding, silenced: Sequence[str]) -> Finding:
    """Takes silenced causes out of a finding, and its alarm if they were the first."""
    if not finding.suspects or finding.suspects[0].cause not in silenced:
        return finding
    return dataclasses.replace(
        finding,
        verdict=Verdict.SKIPPED,
        finding=f"Ignored on request ({finding.suspects[0].cause}): {finding.finding}",
        remedy="",
        suspects=(),
    )


# Calls of the user's parts as they stand here, the inner ones first: a metric is averaged
# by the code that averages a loss, and either may be called from a step.
_PARTS = {
    r"\bmetric\(|\(metric,": "eval",
    r"\bloss\(|\.loss,": "loss",
    r"\baugment\(|\.augment\)": "augmentation",
    r"tx\.update\(": "optimizer",
    r"\.take\(": "data",
}
_TRAINER = {r"\.init\(": "init", r"\.predict\(": "eval", r"\.step\(": "step"}


def _raised(check: Check, task: Task, error: Exception) -> Finding:
    """Turns an exception into a finding that names the last line of the user's own code."""
    package = Path(__file__).resolve().parents[1]
    frames = traceback.extract_tb(error.__traceback__)
    outside = [
        frame
        for frame in frames
        if package not in Path(frame.filename).resolve().parents
        and "site-packages" not in frame.filename
        and not frame.filename.startswith("<")
    ]
    where = f"{Path(outside[-1].filename).name}:{outside[-1].lineno}" if outside else ""
    line = f" at {where}: {outside[-1].line}" if outside else ""
    inside = [frame.line or "" for frame in frames if package in Path(frame.filename).parents]
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return Finding(
        item=check.item,
        check=check.name,
        verdict=Verdict.FAILED,
        evidence={"exception": type(error).__name__, "line": where},
        finding=f"{type(error).__name__}{line}: {text}",
        remedy="Mend this first; the check could not run.",
        suspects=(
            Suspect(
                cause="raises",
                component=_component(task, inside, text),
                where=where,
                why=text,
            ),
        ),
    )


def _component(task: Task, lines: Sequence[str], text: str) -> str:
    """Tells which part of a task raised, by the lines of this package on the way there."""
    calls = _PARTS | (_TRAINER if task.trainer else {})
    for call, component in calls.items():
        if any(re.search(call, line) for line in lines):
            return component
    return "loss" if text.startswith("loss ") else "step" if task.trainer else "model"
