"""Which labels are likely wrong, and how many: confident learning (A2, A5)."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.checks.intervals import wilson
from jrecipe.explore.probe import Probe


@dataclasses.dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that models of other rows contradict.

    Attributes:
      score: float32[n] in [0, 1], probability of the stored class; the lowest are inspected first.
      wrong: bool[n], rows whose likeliest confident class is another than the stored one.
      rate: share of wrong labels.
      interval: 95 % of it, by the number of rows (Wilson).
      by: "cleanlab" or "jrecipe", what judged.
    """

    score: np.ndarray
    wrong: np.ndarray
    rate: float
    interval: tuple[float, float]
    by: str


def find_suspects(found: Probe, *, cleanlab: bool | None = None) -> Suspects | None:
    """Ranks labels by how unlikely they are, and counts those that are confidently contradicted.

    A row is wrong by confident learning if it is at least as probable in another class as rows of
    that class are on average. The rate corrects nothing for what the probe cannot know: hard
    examples that are right count as wrong, and mistakes that look right do not.

    Args:
      found: answers out of sample; None is returned for numbers.
      cleanlab: whether cleanlab judges (`pip install 'jrecipe[inspect]'`); None: if it is there.

    Raises:
      ModuleNotFoundError: if cleanlab is asked for and not installed.

    References:
      Northcutt, Jiang, Chuang, "Confident learning", 2021.
    """
    if found.kind != "classes":
        return None
    rows = np.arange(len(found.targets))
    score = found.answers[rows, found.targets]
    judged = _by_cleanlab(found) if cleanlab is not False else None
    if judged is None and cleanlab:
        raise ModuleNotFoundError("cleanlab is not installed; pip install 'jrecipe[inspect]'.")
    by = "jrecipe" if judged is None else "cleanlab"
    wrong = confidently_wrong(found.answers, found.targets) if judged is None else judged
    interval = wilson(int(wrong.sum()), len(wrong))
    return Suspects(score, wrong, float(wrong.mean()), interval, by)


def confidently_wrong(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns which rows are confidently of another class than their label, bool[n].

    Args:
      answers: float[n, c], probabilities out of sample.
      labels: int[n] in 0 to c - 1.

    Example:
      >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.05, 0.95], [0.04, 0.96]])
      >>> confidently_wrong(sure, np.array([0, 0, 1, 1, 0])).tolist()
      [False, False, False, False, True]
    """
    n, count = answers.shape
    own = answers[np.arange(n), labels]
    sums = np.bincount(labels, weights=own, minlength=count)
    usual = sums / np.maximum(np.bincount(labels, minlength=count), 1)
    confident = np.where(answers >= np.maximum(usual, 1e-6), answers, -1.0)
    best = confident.argmax(axis=1)
    wrong: np.ndarray = (confident.max(axis=1) >= 0) & (best != labels)
    # What is also confidently of its own class is no contradiction unless the other is likelier.
    return wrong & (answers.argmax(axis=1) != labels)


def _by_cleanlab(found: Probe) -> np.ndarray | None:
    """Returns the rows that cleanlab finds, None if it is not installed."""
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError:
        return None
    issues: np.ndarray = find_label_issues(
        found.targets, found.answers.astype(np.float64), filter_by="confident_learning", n_jobs=1
    )
    return issues
