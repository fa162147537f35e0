"""What each way to squeeze out more gained and costs, as a chapter of a report (F)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from jrecipe.figures import Table
from jrecipe.report.report import Section
from jrecipe.squeeze.ensemble_scores import paired_gain, score_name, score_of
from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation


@dataclasses.dataclass(frozen=True, kw_only=True)
class Way:
    """One way, evaluated.

    Attributes:
      name: what the table calls it.
      evaluations: on one split; of several networks the mean counts.
      networks: that answer.
      parameters: of all of them.
      seconds: of training; None if it took none of its own.
    """

    name: str
    evaluations: Sequence[Evaluation]
    networks: int
    parameters: int
    seconds: float | None = None


def ways_of(
    members: Ensemble, split: str, others: Sequence[tuple[str, TaskNetwork, float | None]] = ()
) -> tuple[Way, ...]:
    """Evaluates members, ensemble and other networks on a split.

    Args:
      members: the ensemble.
      split: "val" or "test"; the test split is read here and nowhere else.
      others: `(name, network, seconds of its own training)` of each.

    Returns:
      The mean member first, then the member that is best on the validation split, the ensemble, and
      the others.
    """
    k = len(members)
    each = [members.member(i).evaluate(split) for i in range(k)]
    val = each if split == "val" else [members.member(i).evaluate("val") for i in range(k)]
    best, size = max(range(k), key=lambda i: score_of(val[i])), members.member(0).size
    found = [
        Way(name="mean member", evaluations=each, networks=1, parameters=size),
        Way(
            name=f"member {best}, best on validation",
            evaluations=[each[best]],
            networks=1,
            parameters=size,
        ),
        Way(
            name=f"ensemble of {k}",
            evaluations=[members.evaluate(split)],
            networks=k,
            parameters=members.size,
            seconds=members.seconds,
        ),
    ]
    for name, network, seconds in others:
        found.append(
            Way(
                name=name,
                evaluations=[network.evaluate(split)],
                networks=1,
                parameters=network.size,
                seconds=seconds,
            )
        )
    return tuple(found)


def section_of(task: Task, ways: Sequence[Way], split: str, temperature: float) -> Section:
    """Returns the table of all ways, each beside the first.

    Args:
      task: of one member.
      ways: the first is what the others are compared with.
      split: that they were evaluated on.
      temperature: of the ensemble.
    """
    below, rows = ways[0].evaluations, []
    for way in ways:
        scores = [score_of(one) for one in way.evaluations]
        gain = ""
        if way is not ways[0] and len(way.evaluations) == 1:
            mean, low, high = paired_gain(way.evaluations[0], below)
            gain = f"{mean:+.4f} ({low:+.4f} to {high:+.4f})"
        rows.append(
            [
                way.name,
                f"{sum(scores) / len(scores):.4f}",
                gain,
                f"{sum(one.loss for one in way.evaluations) / len(scores):.4f}",
                str(way.networks),
                f"{way.parameters:,}",
                "" if way.seconds is None else f"{way.seconds:.0f}",
            ]
        )
    name = score_name(task)
    columns = (
        "",
        f"{name}, {split}",
        "gain over the mean member",
        "loss",
        "networks that answer",
        "parameters",
        "seconds of training",
    )
    text = (
        f"Gains are paired over the {below[0].n} examples of the {split} split, with 95 % "
        "intervals for these networks; other seeds would vary them more.",
        f"Validation chose the state of each member and the temperature {temperature:.3g}, by "
        "which the logarithm of the mean probability is divided; it changes no decision.",
    )
    table = Table(title="What each way gains", columns=columns, rows=rows)
    return Section(title="Squeeze out the juice (F)", text=text, table=table)
