"""Sheets, answers, scores and agreement."""

from __future__ import annotations

import json
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from human_tasks import CLASSES, pictures, texts
from hypothesis import given
from sklearn.metrics import cohen_kappa_score

import jrecipe as jr
from jrecipe.human import (
    Answers,
    agreement,
    answers_for,
    make_sheet,
    read_answers,
    render,
    score_answers,
)
from jrecipe.human.page import keys_of
from jrecipe.recipe import build_task, suggest_plan


def given_answers(rows, labels, **more):
    return Answers(np.array(rows), np.array(labels), np.zeros(0), **more)


def asked(page):
    """Returns what the page was made of."""
    begin = page.index('type="application/json">') + len('type="application/json">')
    return json.loads(page[begin : page.index("</script>", begin)])


def test_a_sheet_asks_rows_of_the_split_once_and_does_not_hold_what_is_right():
    task = pictures()
    sheet = make_sheet(task, n=7)
    assert len(set(sheet.rows.tolist())) == 7
    assert all(picture.startswith("data:image/png") for picture in sheet.shown)
    np.testing.assert_array_equal(make_sheet(task, n=7).rows, sheet.rows)
    assert not np.array_equal(make_sheet(task, n=7, seed=1).rows, sheet.rows)
    assert len(make_sheet(task, n=1000).rows) == 20
    # The same pictures with other targets give the same page: nothing of them is in it.
    inputs, targets = task.val.take(np.arange(20))
    other = task.replace(val=(inputs, (targets + 1) % 3))
    assert render(make_sheet(other, n=7)) == render(sheet)


def test_pictures_are_those_of_the_rows():
    import base64
    import io

    from PIL import Image

    task = pictures()
    sheet = make_sheet(task, n=3)
    inputs, _ = task.val.take(sheet.rows)
    for shown, want in zip(sheet.shown, inputs, strict=True):
        data = base64.b64decode(shown.partition(",")[2])
        got = np.asarray(Image.open(io.BytesIO(data)), np.float32) / 255
        assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.99


def test_a_page_holds_hostile_text_as_data():
    names = ("<script>alert(1)</script>", "\u2028", "owl")
    page = render(make_sheet(texts(names), n=2))
    assert page.count("<script") == 2
    assert "alert(1)" in page
    assert [one["name"] for one in asked(page)["classes"]] == list(names)
    assert "http" not in page.replace("http-equiv", "")


def test_keys_are_few_and_never_that_of_taking_back():
    assert keys_of(tuple("0123456789")) == list("0123456789")
    assert keys_of(("u", "v")) == ["1", "2"]
    assert keys_of(("a", "A")) == ["1", "2"]
    many = keys_of(tuple(map(str, range(100))))
    used = [key for key in many if key]
    assert len(many) == 100
    assert len(set(used)) == len(used) == 34
    assert "u" not in used


def test_scores_of_answers():
    targets = np.array([0, 1, 2, 0, 1])
    answers = given_answers([4, 0, 2], [1, 0, 0], skipped=2)
    got = score_answers(answers, targets, CLASSES)
    assert (got.n, got.right, got.skipped) == (3, 2, 2)
    assert got.accuracy == pytest.approx(2 / 3)
    assert got.low < 2 / 3 < got.high
    assert got.wrong.tolist() == [2]
    assert got.confusions() == [(1, "owl", "cat")]
    assert got.confusion.sum() == 3
    assert math.isnan(got.seconds)
    assert "66.7%" in str(got)
    assert "1 x 'owl' answered as 'cat'" in str(got)
    timed = Answers(answers.rows, answers.labels, np.array([1.0, 2.0, 9.0]))
    assert score_answers(timed, targets, CLASSES).seconds == 2.0
    with pytest.raises(jr.TaskError, match="row 9, but the split has rows 0 to 4"):
        score_answers(given_answers([9], [0]), targets, CLASSES)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_agreement_is_on_rows_that_both_answered_in_whatever_order(pairs):
    mine, theirs = np.array(pairs).T
    rows = np.arange(len(pairs))
    one = given_answers([*rows, 100], [*mine, 0])
    turned = rows[::-1]
    other = given_answers([*turned, 200], [*theirs[turned], 1])
    got = agreement(one, other)
    assert (got.n, got.same) == (len(pairs), int((mine == theirs).sum()))
    if len({*mine.tolist(), *theirs.tolist()}) > 1:
        assert got.kappa == pytest.approx(cohen_kappa_score(mine, theirs))
    else:
        assert math.isnan(got.kappa)
        assert "not defined" in str(got)


def test_persons_without_a_common_row_cannot_be_compared():
    with pytest.raises(jr.TaskError, match="no row is in both files"):
        agreement(given_answers([1], [0]), given_answers([2], [0]))


def test_answers_of_another_split_or_of_other_data_are_refused(tmp_path):
    task = pictures()
    sheet = make_sheet(task, n=4)
    told = {"rows": sheet.rows[:1].tolist(), "labels": ["cat"], "split": "val", "data": sheet.data}
    file = tmp_path / "a.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    assert answers_for(task, "val", file, CLASSES).labels.tolist() == [0]
    with pytest.raises(jr.TaskError, match="are for the split 'val', and 'test' is asked for"):
        answers_for(task, "test", file, CLASSES)
    with pytest.raises(jr.TaskError, match="are for other data"):
        answers_for(pictures(seed=5), "val", file, CLASSES)
    del told["split"], told["data"]  # by hand: taken at its word
    file.write_text(json.dumps(told), encoding="utf-8")
    assert answers_for(pictures(seed=5), "test", file, CLASSES).labels.tolist() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": [1, 1], "labels": ["cat", "cat"]}, "row 1 is answered twice"),
        ({"seconds": [1.0, 2.0]}, "seconds need a number for each row"),
        ({"seconds": ["x"]}, "seconds need a number"),
        ({"labels": ["cow"]}, "'cow' is no class; the classes are cat, dog, owl"),
        ({"labels": [True]}, "no class name and no number"),
        ({"rows": []}, "one entry for each of 0 rows"),
    ],
)
def test_answers_that_cannot_be_understood_are_named(tmp_path, change, words):
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"rows": [1], "labels": ["cat"], **change}), encoding="utf-8")
    with pytest.raises(jr.TaskError, match=words):
        read_answers(file, CLASSES)


def test_what_no_single_answer_fits_is_refused():
    task = pictures()
    x = np.zeros((4, 3), np.float32)
    with pytest.raises(jr.TaskError, match="no single classes"):
        make_sheet(task.replace(val=(x, x), loss=jr.losses.l2()))
    with pytest.raises(jr.TaskError, match="n >= 1"):
        make_sheet(task, n=0)
    with pytest.raises(jr.TaskError, match=r"split='x' is not there; the task has train, val"):
        make_sheet(task, split="x")


def test_a_text_is_shown_as_it_was_stored_and_not_as_the_network_sees_it(tmp_path):
    table = tmp_path / "t.csv"
    lines = [f"A fine day it is, no {i}!,{'yes' if i % 2 else 'no'}" for i in range(40)]
    table.write_text(
        "\n".join(["text,label", *lines]).replace("is, no", "is; no"), encoding="utf-8"
    )
    splits = jr.data.load(str(table))
    task = build_task(splits, suggest_plan(splits))
    sheet = make_sheet(task, n=5, texts=splits.texts["val"])
    assert all(text.startswith("A fine day it is; no ") for text in sheet.shown)
    assert not any(text.startswith("A fine") for text in make_sheet(task, n=5).shown)
    with pytest.raises(jr.TaskError, match="one for each of 6 examples of val, got 1"):
        make_sheet(task, texts=["a"])
