"""What an ensemble gains and a smaller network loses, as findings (F, J8)."""

from __future__ import annotations

from collections.abc import Sequence

from jrecipe.checks.result import Finding, Verdict
from jrecipe.squeeze.compare import Comparison
from jrecipe.squeeze.ensemble_report import Way
from jrecipe.squeeze.ensemble_scores import paired_gain, score_name
from jrecipe.task import Task

_POINTS = 0.005  # of accuracy, that count
_SHARE = 0.01  # of any other score, that counts


def judge_ensemble(task: Task, ways: Sequence[Way], split: str) -> Finding:
    """Judges what the ensemble gains over the mean of its members, and what others keep of it.

    Args:
      task: of one member.
      ways: as `ways_of` returns them.
      split: that they were evaluated on.
    """
    below, joint = ways[0].evaluations, ways[2]
    mean, low, high = paired_gain(joint.evaluations[0], below)
    said = (
        f"Together, {joint.networks} networks have {mean:+.4f} {score_name(task)} over the mean of "
        f"them ({low:+.4f} to {high:+.4f}) on the {split} split"
    )
    evidence: dict[str, float] = {"gain": mean, "low": low, "high": high}
    for way in ways[3:]:
        kept, worst, best = paired_gain(way.evaluations[0], below)
        said += f"; the {way.name} has {kept:+.4f} ({worst:+.4f} to {best:+.4f})"
        evidence |= {way.name: kept, f"{way.name}, low": worst, f"{way.name}, high": best}
    lost = high < 0
    return Finding(
        item="F",
        check="ensemble-gain",
        verdict=Verdict.WARNED if lost else Verdict.PASSED,
        evidence=evidence,
        finding=said + ".",
        remedy="Use one network: together they are wrong where most of them are." if lost else "",
    )


def judge_smaller(comparison: Comparison, name: str) -> Finding:
    """Judges a smaller network: did it surely lose something that counts (J8)?

    What counts is half a point of accuracy, or a hundredth of another score. Over many examples far
    smaller differences are sure.

    Args:
      comparison: whose first row is the original.
      name: of another row.
    """
    original, small = next(iter(comparison.rows.values())), comparison.rows[name]
    share, zipped = small.bytes / original.bytes, small.zipped / original.zipped
    low, high = small.gain_interval
    points = comparison.metric == "accuracy"
    unit, scale = ("points", 100.0) if points else (comparison.metric, 1.0)
    better = -1.0 if comparison.metric == "loss" else 1.0
    sure = low > 0 if comparison.metric == "loss" else high < 0
    lost = sure and better * small.gain < -(_POINTS if points else _SHARE * abs(original.score))
    return Finding(
        item="J8",
        check=name.replace(",", "").replace(" ", "-"),
        verdict=Verdict.WARNED if lost else Verdict.PASSED,
        evidence={"share of bytes": share, "difference": small.gain, "low": low, "high": high},
        finding=(
            f"{name.capitalize()}: {share:.0%} of the bytes, {zipped:.0%} zipped, and "
            f"{scale * small.gain:+.3g} {unit} ({scale * low:+.3g} to {scale * high:+.3g}) beside "
            f"the original on the {comparison.split} split."
        ),
        remedy="Train on with what it becomes: jrecipe squeeze RUN --qat, or a lower share."
        if lost
        else "",
    )
