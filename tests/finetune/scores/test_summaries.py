"""ROUGE, with overlaps counted by hand."""

from __future__ import annotations

import pytest

from jrecipe.finetune.scores import SummaryScores, summary_scores
from jrecipe.types import TaskError

approx = pytest.approx


def f1(common, guess, right):
    return 2 * common / (guess + right)


def test_known_answers():
    # "b a c d" against "a b c d e": 4 words in common, the pair "c d", subsequence "b c d".
    got = summary_scores(["b a c d"], ["a b c d e"])
    assert got == SummaryScores(1, approx(f1(4, 4, 5)), approx(f1(1, 3, 4)), approx(f1(3, 4, 5)))
    assert str(got) == "ROUGE-1 88.9 / 2 28.6 / L 66.7 % (n=1)"


def test_it_is_the_mean_over_texts_and_the_best_over_references():
    got = summary_scores(["one two", "one two"], [["six", "one two"], "six seven"])
    assert got == SummaryScores(2, 0.5, 0.5, 0.5)
    assert summary_scores(["", "one two"], ["six", "one two"]).rouge1 == 0.5


def test_stems_are_the_same_word_if_asked():
    assert summary_scores(["running dogs"], ["runs dog"]).rouge1 == 1.0
    assert summary_scores(["running dogs"], ["runs dog"], stem=False).rouge1 == 0.0


@pytest.mark.parametrize(
    ("predictions", "targets", "words"),
    [
        (["a"], ["a", "b"], "1 summaries for 2 targets"),
        (["a", 7], ["a", "b"], "predictions need strings, got 7 in row 1"),
        (["a"], [[7]], "targets need strings, got 7 in row 0"),
        (["a", "b"], ["a", " "], "summary per text, got ' ' in row 1"),
        (["a"], [[]], r"got \[\] in row 0"),
        ([], [], "0 summaries"),
    ],
)
def test_what_does_not_fit_is_named(predictions, targets, words):
    with pytest.raises(TaskError, match=words) as error:
        summary_scores(predictions, targets)
    assert "\n" not in str(error.value)
