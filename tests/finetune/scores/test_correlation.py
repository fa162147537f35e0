"""Correlations, with answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jrecipe.finetune.scores import Correlation, correlation
from jrecipe.types import TaskError


def test_known_answers():
    # Deviations (-1, 0, 1) and (-3, -1, 4): 7 / sqrt(2 * 26). The order is the same.
    got = correlation(np.array([[1.0], [2.0], [3.0]]), np.array([0, 2, 7]))
    assert got == Correlation(3, pytest.approx(7 / np.sqrt(52)), pytest.approx(1.0))
    assert str(got) == "Pearson 97.1 %, Spearman 100.0 % (n=3)"
    turned = correlation([3, 2, 1], [0, 2, 7])
    assert turned.spearman == pytest.approx(-1.0)
    # Ranks (1, 2, 3) and (1.5, 1.5, 3): ties share theirs.
    assert correlation([1, 2, 3], [5, 5, 9]).spearman == pytest.approx(1.5 / np.sqrt(2 * 1.5))


def test_constant_predictions_know_nothing():
    assert correlation(np.full(3, 0.5, np.float32), [1, 2, 3]) == Correlation(3, 0.0, 0.0)


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        ([1, 2], [1, 2, 3], "2 numbers for 3 targets"),
        ([1, np.nan], [1, 2], "predictions need finite numbers, got nan in row 1"),
        ([1, 2], [np.inf, 2], "targets need finite numbers, got inf in row 0"),
        ([1, 2], [3, 3], "targets are all 3"),
        (["a", "b"], [1, 2], "predictions need one number per example"),
        (np.ones((2, 2)), [1, 2], r"float64\[2, 2\]"),
        ([], [], "0 numbers"),
    ],
)
def test_what_does_not_fit_is_named(predictions, targets, words):
    with pytest.raises(TaskError, match=words) as error:
        correlation(predictions, targets)
    assert "\n" not in str(error.value)
