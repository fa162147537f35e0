"""What a person's answers are worth, and how far two persons agree."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence

import numpy as np

from jrecipe.checks.intervals import wilson
from jrecipe.human.answers import Answers
from jrecipe.types import Array, TaskError

_SHOWN = 5  # of the confusions


@dataclasses.dataclass(frozen=True, eq=False)
class HumanScores:
    """Answers beside the recorded targets.

    Attributes:
      n: answers.
      right: those that equal the target.
      low: lower end of the accuracy's 95 % interval (Wilson).
      high: its upper end.
      skipped: examples that were left unanswered; they are not counted.
      seconds: median time for an answer, NaN if it was not measured.
      confusion: int64[c, c], targets by answers.
      class_names: c names.
      wrong: int[k], the rows whose answer is another than the target.
    """

    n: int
    right: int
    low: float
    high: float
    skipped: int
    seconds: float
    confusion: np.ndarray
    class_names: tuple[str, ...]
    wrong: np.ndarray

    @property
    def accuracy(self) -> float:
        """Share of the answers that equal the target."""
        return self.right / self.n

    def __str__(self) -> str:
        parts = [
            f"accuracy {self.accuracy:.1%} ({self.low:.1%} to {self.high:.1%}; {self.right} of "
            f"{self.n})"
        ]
        if np.isfinite(self.seconds):
            parts.append(f"{self.seconds:.1f} s an example (median)")
        if self.skipped:
            parts.append(f"{self.skipped} left unanswered")
        lines = [", ".join(parts)]
        for count, target, answer in self.confusions()[:_SHOWN]:
            lines.append(f"  {count} x {target!r} answered as {answer!r}")
        return "\n".join(lines)

    def confusions(self) -> list[tuple[int, str, str]]:
        """Returns (count, target, answer) of what was mistaken for what, most often first."""
        found = [
            (int(self.confusion[i, j]), self.class_names[i], self.class_names[j])
            for i, j in np.argwhere(self.confusion)
            if i != j
        ]
        return sorted(found, key=lambda each: -each[0])


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far two persons agree on the rows that both answered.

    Attributes:
      n: such rows.
      same: those with the same answer.
      kappa: Cohen's, 1 for full agreement and 0 for that of chance; NaN if both gave one and the
        same answer throughout, so that chance explains everything.
    """

    n: int
    same: int
    kappa: float

    def __str__(self) -> str:
        kappa = "not defined" if np.isnan(self.kappa) else f"{self.kappa:.2f}"
        return f"{self.same} of {self.n} alike ({self.same / self.n:.1%}), Cohen's kappa {kappa}"


def score_answers(answers: Answers, targets: Array, class_names: Sequence[str]) -> HumanScores:
    """Scores answers against the recorded targets of their split (B6).

    Args:
      answers: of one person.
      targets: int[n], of the whole split.
      class_names: of the classes.

    Raises:
      TaskError: if an answer is for a row that the split lacks.
    """
    targets = np.asarray(targets)
    if answers.rows.min() < 0 or answers.rows.max() >= len(targets):
        raise TaskError(
            f"answers have row {int(answers.rows.max())}, but the split has rows 0 to "
            f"{len(targets) - 1}; score them with the data that they were given on."
        )
    right = targets[answers.rows]
    same = right == answers.labels
    confusion = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion, (right, answers.labels.astype(np.int64)), 1)
    low, high = wilson(int(same.sum()), len(same))
    return HumanScores(
        n=len(same),
        right=int(same.sum()),
        low=low,
        high=high,
        skipped=answers.skipped,
        seconds=float(np.median(answers.seconds)) if len(answers.seconds) else float("nan"),
        confusion=confusion,
        class_names=tuple(class_names),
        wrong=answers.rows[~same],
    )


def agreement(one: Answers, other: Answers) -> Agreement:
    """Compares two persons on the rows that both answered, by scikit-learn.

    Raises:
      TaskError: if there is no such row.

    References:
      Cohen, "A coefficient of agreement for nominal scales", 1960.
    """
    from sklearn.metrics import cohen_kappa_score

    rows, a, b = np.intersect1d(one.rows, other.rows, return_indices=True)
    if not len(rows):
        raise TaskError(
            "two persons can be compared only where both answered, and no row is in both files; "
            "give them the same page."
        )
    mine, theirs = one.labels[a], other.labels[b]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one class alone: told by NaN
        kappa = float(cohen_kappa_score(mine, theirs))
    return Agreement(n=len(rows), same=int((mine == theirs).sum()), kappa=kappa)
