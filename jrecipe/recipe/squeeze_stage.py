"""The last per cent of `cook`: an ensemble, one network that learns from it, and 8 bits (F, J8)."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping

from jrecipe.checks import Finding, Verdict
from jrecipe.report import Section
from jrecipe.squeeze import (
    Comparison,
    Network,
    compare,
    distil,
    ensemble,
    ensemble_of,
    judge_ensemble,
    network_of,
    quantise,
    student_of,
)
from jrecipe.squeeze.ensemble_mean import kind_of
from jrecipe.squeeze.ensemble_report import Way, section_of, ways_of
from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.task import Task
from jrecipe.train.fitted import Fit
from jrecipe.train.loop import fit as train
from jrecipe.types import TaskError

_CALLS = 20  # of each network, for its latency


@dataclasses.dataclass(frozen=True, kw_only=True)
class Squeezed:
    """What was squeezed out of a trained task.

    Attributes:
      ensemble: the final run and other seeds together; None if it was not made.
      student: the training of one network on what the ensemble answers; None if there is none.
      small: the final network with its weights in 8 bits; None if it has none.
      findings: for items F and J8.
      section: the story, told on the validation split.
      losses: name -> validation loss of each.
    """

    ensemble: Ensemble | None
    student: Fit | None
    small: Network | None
    findings: tuple[Finding, ...]
    section: Section
    losses: Mapping[str, float]


def squeeze(fit: Fit, members: int, say: Callable[[str], object], *, why_not: str = "") -> Squeezed:
    """Joins the final run with runs from other seeds, teaches one network, and makes one smaller.

    The test split is not read.

    Args:
      fit: the final run.
      members: networks of the ensemble, the final one among them; below 3 there is none.
      say: told what is being done.
      why_not: the reason for fewer than 3, for the report.

    Raises:
      KeyboardInterrupt: if Ctrl-C was pressed.
    """
    task = fit.task
    findings: list[Finding] = []
    text: list[str] = []
    ways: tuple[Way, ...] = ()
    joined: Ensemble | None = None
    student: Fit | None = None
    losses: dict[str, float] = {}
    refused = why_not if members < 3 else _refused(task)
    if refused:
        text.append(f"No ensemble: {refused}")
        findings.append(_skipped(refused))
    else:
        say(f"Squeeze: {members - 1} more networks from other seeds, {fit.steps} updates each")
        joined = _joined(fit, members)
        others: list[tuple[str, TaskNetwork, float | None]] = []
        try:
            taught = distil(joined, task)
        except TaskError as error:
            text.append(f"No student: {error}")
        else:
            say(f"Squeeze: a student of the ensemble, {fit.steps} updates")
            student = train(taught, fit.steps, seed=fit.seed + members, progress=False)
            if student.signal:
                raise KeyboardInterrupt
            if student.problem:
                text.append(f"No student: {student.problem}.")
                student = None
            else:
                own = student_of(student, task)
                others.append(("student of the ensemble", own, student.seconds))
        ways = ways_of(joined, "val", others)
        findings.append(judge_ensemble(task, ways, "val"))
        losses = {way.name: way.evaluations[0].loss for way in ways[2:]}
    say("Squeeze: weights in 8 bits")
    small = _quantised(fit)
    told = Section(title="")
    if joined is not None:
        told = section_of(task, ways, "val", joined.temperature)
        text = [*told.text, *text]
    return Squeezed(
        ensemble=joined,
        student=student,
        small=small,
        findings=tuple(findings),
        section=Section(title="Squeeze", text=tuple(text), table=told.table),
        losses=losses,
    )


def compared(fit: Fit, squeezed: Squeezed, split: str) -> tuple[Comparison | None, str]:
    """Measures the final network, 8 bits, ensemble and student on a split.

    Returns:
      The comparison, or None and the reason.
    """
    if importlib.util.find_spec("safetensors") is None:
        return None, "Sizes were not compared, as safetensors is missing: jrecipe[export] has it."
    if squeezed.small is None:
        return None, "Sizes were not compared: the trainer keeps its weights to itself."
    networks: dict[str, Network] = {
        "final network": network_of(fit),
        "int8 weights": squeezed.small,
    }
    if squeezed.ensemble is not None:
        networks[f"ensemble of {len(squeezed.ensemble)}"] = network_of(squeezed.ensemble)
    if squeezed.student is not None:
        networks["student"] = network_of(student_of(squeezed.student, fit.task))
    return compare(networks, fit.task, split=split, calls=_CALLS), ""


def _refused(task: Task) -> str:
    """Returns why there can be no ensemble, empty if there can."""
    if task.model is None or task.trainer is not None:
        return "the members would need jrecipe's own trainer."
    try:
        kind_of(task.loss, "an ensemble")
    except TaskError as error:
        return str(error)
    return ""


def _joined(fit: Fit, members: int) -> Ensemble:
    task = fit.task
    others = ensemble(task, members - 1, fit.steps, seed=fit.seed + 1, calibrate=False)
    each = [fit.best, *(others.member(i) for i in range(len(others)))]
    joined = ensemble_of(task, each, fit.seconds + others.seconds)
    return joined if kind_of(task.loss, "cook") == "number" else joined.calibrated()


def _quantised(fit: Fit) -> Network | None:
    try:
        return quantise(network_of(fit))
    except TaskError:  # a trainer of the user's own keeps its numbers to itself
        return None


def _skipped(why: str) -> Finding:
    return Finding(
        item="F", check="ensemble-gain", verdict=Verdict.SKIPPED, finding=f"No ensemble: {why}"
    )
