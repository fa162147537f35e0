"""Entities count as wholes: extent and type."""

from __future__ import annotations

import pytest

from jrecipe.finetune.scores import Found, entity_scores
from jrecipe.types import TaskError

RIGHT = [
    ["B-PER", "I-PER", "O", "B-LOC"],
    ["O", "B-LOC", "I-LOC"],
    ["B-PER", "B-PER"],
]


def test_known_answers():
    guess = [
        ["B-PER", "I-PER", "O", "B-PER"],  # the right place, the wrong type
        ["O", "B-LOC", "O"],  # cut short
        ["B-PER", "B-PER"],  # two neighbours
    ]
    got = entity_scores(guess, RIGHT)
    assert got.n == 3
    assert got.types == {
        "LOC": Found(0.0, 0.0, 0.0, 2),
        "PER": Found(0.75, 1.0, pytest.approx(6 / 7), 3),
    }
    assert got.all == Found(0.6, 0.6, pytest.approx(0.6), 5)
    assert got.f1 == got.all.f1
    lines = str(got).splitlines()
    assert lines[0] == "entity F1 60.0 % (n=3 sentences)"
    assert lines[-1].split() == ["all", "60.0", "60.0", "60.0", "5"]


def test_perfect_and_empty():
    assert entity_scores(RIGHT, RIGHT).f1 == 1.0
    nothing = [["O"] * len(tags) for tags in RIGHT]
    assert entity_scores(nothing, RIGHT).all == Found(0.0, 0.0, 0.0, 5)
    assert entity_scores(RIGHT, nothing).all == Found(0.0, 0.0, 0.0, 0)
    assert entity_scores(nothing, nothing).all == Found(0.0, 0.0, 0.0, 0)


def test_an_inside_tag_without_a_beginning_counts_unless_strict():
    loose = [["I-PER", "I-PER", "O", "B-LOC"], *RIGHT[1:]]
    assert entity_scores(loose, RIGHT).f1 == 1.0
    strict = entity_scores(loose, RIGHT, strict=True)
    assert strict.all == Found(1.0, 0.8, pytest.approx(8 / 9), 5)


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        ([["O"]], [["O"], ["O"]], "1 sentences for 2 targets"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "2 tags for 1 words in row 1"),
        ([["O"], ["O"]], [["O"], ["PER"]], "targets need BIO2 .* got 'PER' in row 1"),
        ([["E-PER"]], [["O"]], "predictions need BIO2 .* got 'E-PER' in row 0"),
        ([[3]], [["O"]], "got '3' in row 0"),
        ([], [], "0 sentences"),
    ],
)
def test_what_does_not_line_up_is_named(predictions, targets, words):
    with pytest.raises(TaskError, match=words) as error:
        entity_scores(predictions, targets)
    assert "\n" not in str(error.value)
