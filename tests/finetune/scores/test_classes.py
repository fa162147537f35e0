"""Accuracy and the table of classes, with answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from jrecipe.finetune.scores import Found, class_scores
from jrecipe.types import TaskError

NAMES = ("sad", "so-so", "glad", "never")


def test_known_answers():
    got = class_scores(np.array([0, 0, 1, 2, 2, 1]), np.array([0, 1, 1, 2, 1, 1]), NAMES)
    assert (got.n, got.accuracy) == (6, 4 / 6)
    assert got.classes == {
        "sad": Found(0.5, 1.0, 2 / 3, 1),
        "so-so": Found(1.0, 0.5, 2 / 3, 4),
        "glad": Found(0.5, 1.0, 2 / 3, 1),
        "never": Found(0.0, 0.0, 0.0, 0),
    }
    assert got.macro_f1 == pytest.approx(2 / 3)  # a class that nobody names takes nothing away
    lines = str(got).splitlines()
    assert lines[0] == "accuracy 66.7 %, macro F1 66.7 % (n=6)"
    assert lines[3].split() == ["so-so", "100.0", "50.0", "66.7", "4"]
    assert len({len(line) for line in lines[1:]}) == 1


def test_names_do_as_well_as_indices():
    by_name = class_scores(["sad", "glad"], ["sad", "sad"], NAMES)
    assert by_name == class_scores([0, 2], [0, 0], NAMES)
    assert by_name.accuracy == 0.5


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        ([0, 1], [0, 1, 1], "2 labels for 3 targets"),
        ([], [], "0 labels"),
        ([0, 4], [0, 1], "predictions need one of the 4 classes, got 4 in row 1"),
        ([0, 1], [0, -1], "targets need one of the 4 classes, got -1 in row 1"),
        (["sad"], ["mad"], "targets .* got 'mad' in row 0; known are sad, so-so, glad, never"),
        ([0.5], [0], "got 0.5 in row 0"),
    ],
)
def test_what_does_not_fit_is_named(predictions, targets, words):
    with pytest.raises(TaskError, match=words) as error:
        class_scores(predictions, targets, NAMES)
    assert "\n" not in str(error.value)
