"""Correlation of predicted numbers with the right ones, by SciPy."""

from __future__ import annotations

import dataclasses

import numpy as np

from jrecipe.finetune.scores.checking import same_length
from jrecipe.types import Array, TaskError


@dataclasses.dataclass(frozen=True)
class Correlation:
    """Scores of predicted numbers on a split; see `correlation`.

    Attributes:
      n: examples.
      pearson: of the numbers, in [-1, 1].
      spearman: of their ranks, in [-1, 1].
    """

    n: int
    pearson: float
    spearman: float

    def __str__(self) -> str:
        pearson, spearman = 100 * self.pearson, 100 * self.spearman
        return f"Pearson {pearson:.1f} %, Spearman {spearman:.1f} % (n={self.n})"


def correlation(predictions: Array, targets: Array) -> Correlation:
    """Returns the correlations of Pearson and Spearman (J5).

    Predictions that are all the same know nothing of the targets: their correlation, for which
    there is no number, counts as 0.

    Args:
      predictions: numbers [n] or [n, 1].
      targets: numbers [n] or [n, 1], at least two different ones.

    Raises:
      TaskError: if lengths differ, a number is not finite, or all targets are the same.

    Example:
      >>> print(correlation([0.1, 0.4, 0.9, 2.0], [1, 2, 3, 4]))
      Pearson 95.9 %, Spearman 100.0 % (n=4)
    """
    from scipy import stats

    n = same_length(predictions, targets, "numbers")
    guess, right = _numbers(predictions, "predictions"), _numbers(targets, "targets")
    if np.ptp(right) == 0:
        raise TaskError(
            f"targets are all {right[0]:g} ({n} of them), with which nothing correlates; give "
            "examples of at least two values."
        )
    if np.ptp(guess) == 0:
        return Correlation(n, 0.0, 0.0)
    pearson, spearman = stats.pearsonr(guess, right), stats.spearmanr(guess, right)
    return Correlation(n, float(pearson.statistic), float(spearman.statistic))


def _numbers(values: Array, name: str) -> np.ndarray:
    """Returns finite numbers float64[n], or raises TaskError with the first that is not."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise TaskError(
            f"{name} need one number per example [n], got {array.dtype}{list(array.shape)}; "
            "give a column of numbers."
        )
    array = array.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(array))
    if len(bad):
        raise TaskError(
            f"{name} need finite numbers, got {array[bad[0]]} in row {bad[0]} ({len(bad)} rows); "
            "see where they come from."
        )
    return array
