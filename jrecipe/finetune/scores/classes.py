"""Accuracy, and precision, recall and F1 of each class, by scikit-learn."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from jrecipe.finetune.scores.checking import same_length
from jrecipe.finetune.scores.found import Found, table
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Scores of a classifier on a split; see `class_scores`.

    Attributes:
      n: examples.
      accuracy: share of the predictions that are right.
      macro_f1: mean of the F1 of the classes that are among targets or predictions.
      classes: each class by its name, in order.
    """

    n: int
    accuracy: float
    macro_f1: float
    classes: dict[str, Found]

    @property
    def parts(self) -> dict[str, Found]:
        """What the table shows: each class."""
        return self.classes

    def __str__(self) -> str:
        head = f"accuracy {100 * self.accuracy:.1f} %, macro F1 {100 * self.macro_f1:.1f} %"
        return f"{head} (n={self.n})\n{table(self.parts)}"


def class_scores(predictions: Array, targets: Array, names: Sequence[str]) -> ClassScores:
    """Returns accuracy, and precision, recall and F1 of each class (J5).

    Args:
      predictions: class indices int[n], or names.
      targets: class indices int[n], or names.
      names: of the classes 0..c-1.

    Raises:
      TaskError: if lengths differ, or a label is none of the classes; with its row.

    Example:
      >>> print(class_scores([0, 1, 1, 1], [0, 0, 1, 1], ["bad", "good"]))
      accuracy 75.0 %, macro F1 73.3 % (n=4)
            precision  recall      F1       n
      bad       100.0    50.0    66.7       2
      good       66.7   100.0    80.0       2
    """
    from sklearn.metrics import precision_recall_fscore_support

    n = same_length(predictions, targets, "labels")
    names = [str(name) for name in names]
    guessed = _indices(predictions, names, "predictions")
    right = _indices(targets, names, "targets")
    columns = precision_recall_fscore_support(
        right, guessed, labels=np.arange(len(names)), zero_division=0
    )
    precision, recall, f1, count = (np.asarray(column).tolist() for column in columns)
    classes = {
        name: Found(precision[i], recall[i], f1[i], int(count[i])) for i, name in enumerate(names)
    }
    seen = np.union1d(guessed, right)
    return ClassScores(
        n=n,
        accuracy=float(np.mean(guessed == right)),
        macro_f1=float(np.mean(np.asarray(f1)[seen])),
        classes=classes,
    )


def _indices(labels: Array, names: list[str], what: str) -> np.ndarray:
    """Returns labels as int64[n] in 0..c-1, or raises TaskError with the first that is not."""
    index = {name: i for i, name in enumerate(names)}
    found = np.empty(len(labels), np.int64)
    for row, label in enumerate(np.asarray(labels).tolist()):
        at = index.get(label, -1) if isinstance(label, str) else label
        if not isinstance(at, int) or not 0 <= at < len(names):
            raise TaskError(
                f"{what} need one of the {len(names)} classes, got {label!r} in row {row}; known "
                f"are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
            )
        found[row] = at
    return found
