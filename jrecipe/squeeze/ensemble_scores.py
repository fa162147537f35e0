"""What an ensemble scores beside its members, paired example by example (F)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation, mean_and_stderr
from jrecipe.types import TaskError

_Z = 1.96  # normal quantile of a 95 % interval


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleScores:
    """Scores on one split. The higher the better: the task's metric, or minus its loss.

    Attributes:
      split: which.
      name: of the score.
      n: examples.
      members: float64[k], mean score of each member.
      score: mean score of the ensemble.
      gain: that minus the mean of the members, of these networks on such examples.
      low: lower end of its 95 % interval over examples; other members would vary it more.
      high: upper end.
      members_loss: float64[k].
      loss: of the ensemble.
    """

    split: str
    name: str
    n: int
    members: np.ndarray
    score: float
    gain: float
    low: float
    high: float
    members_loss: np.ndarray
    loss: float

    @property
    def best_member(self) -> int:
        """Number of the member with the highest score."""
        return int(np.argmax(self.members))

    def __str__(self) -> str:
        return (
            f"{self.name} on {self.split}: {len(self.members)} members {self.members.mean():.4g} "
            f"({self.members.min():.4g} to {self.members.max():.4g}), together {self.score:.4g}; "
            f"gain {self.gain:+.4g} ({self.low:+.4g} to {self.high:+.4g})"
        )


def values_of(one: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """Returns the score and the weight of each example, float64[n]; higher is better."""
    if len(one.metric_values):
        return one.metric_values.astype(np.float64), one.metric_weights.astype(np.float64)
    return -one.values.astype(np.float64), one.weights.astype(np.float64)


def score_of(one: Evaluation) -> float:
    """Returns the mean score; higher is better."""
    return mean_and_stderr(*values_of(one))[0]


def paired_gain(one: Evaluation, below: Sequence[Evaluation]) -> tuple[float, float, float]:
    """Returns what one evaluation has over the mean of others, with its 95 % interval.

    Args:
      one: of a split.
      below: of the same split, one or more.

    Raises:
      TaskError: if they are not of as many examples.
    """
    values, weights = values_of(one)
    others = [values_of(each)[0] for each in below]
    if any(len(each) != len(values) for each in others):
        raise TaskError(
            f"paired_gain needs the same examples, got {len(values)} and "
            f"{[len(each) for each in others]}; evaluate on one split."
        )
    gain, stderr = mean_and_stderr(values - np.mean(others, axis=0), weights)
    return gain, gain - _Z * stderr, gain + _Z * stderr


def scores_of(
    task: Task, split: str, members: Sequence[Evaluation], joint: Evaluation
) -> EnsembleScores:
    """Compares evaluations of the members with that of all together."""
    gain, low, high = paired_gain(joint, members)
    return EnsembleScores(
        split=split,
        name=score_name(task),
        n=joint.n,
        members=np.array([score_of(one) for one in members]),
        score=score_of(joint),
        gain=gain,
        low=low,
        high=high,
        members_loss=np.array([one.loss for one in members]),
        loss=joint.loss,
    )


def score_name(task: Task) -> str:
    """Returns what the score of a task is called."""
    if task.metric is None:
        return "minus the loss"
    return str(getattr(task.metric, "__name__", "metric"))


def calibration_error(probabilities: Any, labels: Any, bins: int = 15) -> float:
    """Returns the expected calibration error: how far confidence is from accuracy, in [0, 1].

    Examples are sorted into bins of equal width by the largest probability; the error is the mean
    over examples of the distance between accuracy and mean confidence in their bin.

    Args:
      probabilities: float[n, c], rows that sum to 1.
      labels: int[n].
      bins: >= 1.

    Raises:
      TaskError: if the shapes do not fit, or `bins` is below 1.

    References:
      Guo et al., "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.

    Example:
      >>> calibration_error([[0.8, 0.2]] * 5, [0, 0, 0, 0, 1]) < 1e-12  # right as often as it says
      True
    """
    shares, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    if shares.ndim != 2 or labels.shape != shares.shape[:1] or bins < 1:
        raise TaskError(
            f"calibration_error needs probabilities [n, c], labels [n] and bins >= 1, got "
            f"{list(shares.shape)}, {list(labels.shape)} and {bins}."
        )
    sure, right = shares.max(axis=1), shares.argmax(axis=1) == labels
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, right - sure, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))
