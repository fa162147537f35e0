"""Exact match and F1 of answers, with cases worked out by hand."""

from __future__ import annotations

import pytest

from jrecipe.finetune.scores import AnswerScores, answer_scores
from jrecipe.finetune.scores.answers import normalise, overlap
from jrecipe.types import TaskError


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("  The\tEiffel  Tower! ", "eiffel tower"),
        ("an apple a day", "apple day"),
        ("Anna's theatre", "annas theatre"),  # only whole words are articles
        ("A.", ""),
        ("$1,000.50", "100050"),
        ("Élan vital", "élan vital"),
    ],
)
def test_what_does_not_count_goes(text, want):
    assert normalise(text) == want


@pytest.mark.parametrize(
    ("guess", "answers", "exact", "f1"),
    [
        ("the tower", ["Tower"], 1, 1),
        ("red tower", ["Tower"], 0, 2 / 3),
        ("tower", ["red tower", "blue house"], 0, 2 / 3),  # the nearest counts
        ("blue house", ["red tower", "Blue House."], 1, 1),
        ("no no yes", ["no yes yes"], 0, 2 / 3),  # words count as often as they occur
        ("tower", ["house"], 0, 0),
        ("", [], 1, 1),
        ("", [""], 1, 1),
        ("tower", [], 0, 0),
        ("", ["tower"], 0, 0),
        ("the", [""], 1, 1),
    ],
)
def test_known_answers(guess, answers, exact, f1):
    got = answer_scores([guess], [answers])
    assert got == AnswerScores(1, exact, pytest.approx(f1))


def test_scores_are_means_over_questions():
    got = answer_scores(["red tower", "house"], [["tower"], ["house"]])
    assert got == AnswerScores(2, 0.5, pytest.approx(5 / 6))
    assert str(got) == "EM 50.0 %, F1 83.3 % (n=2)"
    assert overlap(["a"], []) == overlap([], ["a"]) == 0.0
    assert overlap([], []) == 1.0


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        (["a"], [["a"], ["b"]], "1 answers for 2 targets"),
        (["a", None], [["a"], ["b"]], "predictions need strings, got None in row 1"),
        (["a"], [[3]], "targets need strings, got 3 in row 0"),
        (["a"], ["ab"], "list of right answers .* got 'ab' in row 0"),
        ([], [], "0 answers"),
    ],
)
def test_what_does_not_fit_is_named(predictions, targets, words):
    with pytest.raises(TaskError, match=words) as error:
        answer_scores(predictions, targets)
    assert "\n" not in str(error.value)
