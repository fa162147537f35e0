"""Answers become spans of tokens in windows, and spans become the text of answers again."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from small_tokenizers import word_pieces

from jrecipe.finetune.answer_data import answer_data
from jrecipe.finetune.answer_text import best_answers
from jrecipe.finetune.tokenizer import tokenizer_for
from jrecipe.types import TaskError

BERT = tokenizer_for(word_pieces())


def asked(context, answer, question="who?", start=None):
    start = context.index(answer) if start is None else start
    return {
        "question": question,
        "context": context,
        "answers": [{"text": answer, "start": start}],
    }


def certain(data, t=16):
    """Returns logits of a network that knows every target."""
    logits = np.zeros((len(data), t, 2), np.float32)
    spans = data.source.targets
    has = np.flatnonzero(spans[:, 1])
    for side in range(2):
        logits[has, spans[has, side], side] = 5.0
    return logits


def test_the_target_is_the_first_and_last_token_of_the_answer():
    data = answer_data([asked("The red cats sat.", "red cats")], BERT, max_length=16)
    inputs, targets = data.source.take(np.array([0]))
    assert targets.tolist() == [[5, 7]]  # [CLS] who ? [SEP] the red cat ##s
    assert inputs["types"][0, :6].tolist() == [0, 0, 0, 0, 1, 1]
    assert data.offsets[0][5].tolist() == [4, 7]
    assert data.notes == ()
    assert best_answers(certain(data), data) == ["red cats"]


LETTERS = st.lists(st.sampled_from(["a", "b", "zebra", "cats", "Paris,"]), min_size=2, max_size=40)


@given(LETTERS, st.data(), st.integers(3, 5))
def test_a_network_that_knows_gives_the_answers_back(words, data, stride):
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 1, len(words) - 1)))
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    answer = " ".join(words[first : last + 1])
    row = asked(" ".join(words), answer, start=int(starts[first]))
    found = answer_data([row, row], BERT, max_length=16, stride=stride)
    logits = certain(found)
    spans = found.source.targets
    for window, (start, end) in enumerate(spans):
        if end:
            begin, stop = found.offsets[window][start, 0], found.offsets[window][end, 1]
            assert row["context"][begin:stop] == answer
    # Neighbouring windows have `stride` tokens in common, so shorter answers are in one of them.
    assert best_answers(logits, found) == ([answer, answer] if spans.any() else ["a"] * 2)
    tokens = len(BERT.encode([answer], max_length=99)[0].ids) - 2
    assert spans.any() or tokens > stride


def test_answers_that_no_window_holds_are_counted():
    context = "a b " * 20
    rows = [asked(context, context.strip()), asked("a b", "b")]
    data = answer_data(rows, BERT, max_length=16, stride=4)
    assert data.notes == (
        f"2 questions became {len(data)} windows.",
        "1 of 2 questions (50 %) have their answer in no window; their target is the first token.",
    )
    assert not data.source.targets[:-1].any()
    none = answer_data([{**rows[1], "answers": []}], BERT, max_length=16)
    assert none.notes == (
        "1 of 1 questions (100 %) have no answer; their target is the first token.",
    )


def test_all_right_answers_are_kept_for_scoring():
    row = asked("the red cat", "cat")
    row["answers"].append({"text": "red cat", "answer_start": 4})
    data = answer_data([row], BERT, max_length=16)
    assert data.answers == (("cat", "red cat"),)
    assert data.source.targets.tolist() == [[6, 6]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"text": "cat", "start": 0}, "row 0: the answer 'cat' does not stand at character 0"),
        ({"text": "cat", "start": -3}, "does not stand at character -3"),
        ({"text": "cat"}, "row 0: an answer needs 'text' and the character 'start'"),
        ("cat", "row 0: an answer needs 'text'"),
    ],
)
def test_an_answer_that_does_not_stand_there_is_named(answer, message):
    row = {"question": "who?", "context": "the cat", "answers": [answer]}
    with pytest.raises(TaskError, match=message):
        answer_data([row], BERT, max_length=16)


@pytest.fixture(name="two")
def _two():
    rows = [asked("a b c d e f g h " * 3, "b c"), asked("the cat", "cat")]
    return answer_data(rows, BERT, max_length=16, stride=4)


def test_the_best_window_wins(two):
    logits = np.zeros((len(two), 16, 2))
    logits[0, 6, :] = 1.0
    logits[1, 7, :] = 2.0
    answer = best_answers(logits, two)[0]
    begin, stop = two.offsets[1][7]
    assert answer == two.contexts[0][begin:stop]


def test_spans_stay_in_the_context_in_order_and_short(two):
    logits = np.zeros((len(two), 16, 2))
    logits[-1, 1] = logits[-1, 0] = 9.0  # of the question
    logits[-1, 5, 0], logits[-1, 4, 1] = 3.0, 2.0  # an end before the start
    assert best_answers(logits, two)[-1] == "cat"
    logits[0, 4, 0], logits[0, 13, 1] = 5.0, 5.0
    assert best_answers(logits, two)[0] == "a b c d e f g h a b"
    assert len(best_answers(logits, two, longest=3)[0].split()) <= 3


def test_no_answer_where_the_first_token_scores_higher_in_every_window(two):
    logits = np.zeros((len(two), 16, 2))
    logits[:, 0] = 4.0
    logits[0, 0] = -4.0  # one window of the first question is sure that there is one
    assert best_answers(logits, two)[1] != ""
    answers = best_answers(logits, two, may_be_none=True)
    assert answers[0] != ""
    assert answers[1] == ""


def test_logits_may_have_a_length_for_each_window(two):
    logits = np.random.default_rng(0).normal(size=(len(two), 20, 2)).astype(np.float32)
    cut = [row[: n + 1] for row, n in zip(logits, two.offsets.lengths, strict=True)]
    assert best_answers(logits, two) == best_answers(cut, two)
    with pytest.raises(TaskError, match="logits are of 1 windows"):
        best_answers(logits[:1], two)
    with pytest.raises(TaskError, match=r"logits of window 0 need shape \[t, 2\] with t >= 16"):
        best_answers(logits[:, :3], two)


def test_the_best_span_is_that_of_all_spans(two):
    logits = np.random.default_rng(1).normal(size=(len(two), 16, 2))
    best = {}
    for window in range(len(two)):
        offsets, row = two.offsets[window], int(two.question[window])
        for i in range(len(offsets)):
            for j in range(i, min(i + 4, len(offsets))):
                if offsets[i, 1] >= 0 and offsets[j, 1] >= 0:
                    score = logits[window, i, 0] + logits[window, j, 1]
                    text = two.contexts[row][offsets[i, 0] : offsets[j, 1]]
                    best[row] = max(best.get(row, (-np.inf, "")), (score, text))
    assert best_answers(logits, two, longest=4) == [best[row][1] for row in range(2)]
