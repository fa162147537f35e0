"""A2: values that cannot be right."""

import numpy as np
import pytest
from programs import check, digits, first_cause, task

import jrecipe as jr
from jrecipe.checks.corrupt import (
    blank_rows,
    check_corrupt,
    constant_features,
    judge_blank,
    judge_conflicts,
    label_conflicts,
    not_finite_rows,
)
from jrecipe.checks.result import Verdict


def changed(what: str) -> jr.Task:
    x, y = (array.copy() for array in digits())
    changes: dict = {}
    if what == "nan":
        x[[7, 9], 3] = np.nan
    if what == "blank":
        x[[5, 6]] = x.min()
    if what == "label too large":
        y[17] = 10
    if what == "label negative":
        y[17] = -1
    if what == "all inputs equal":
        x[:400] = x[0]
    if what == "conflicts":
        x[:40], y[:40] = x[40:80], (y[40:80] + 1) % 10
    if what == "conflicts, declared":
        x[:40], y[:40], changes["label_noise"] = x[40:80], (y[40:80] + 1) % 10, 0.1
    if what == "val narrower":
        changes["val"] = (x[400:500, :60], y[400:500])
    if what == "val in bytes":
        changes["val"] = (np.clip(x[400:500] * 100, 0, 255).astype(np.uint8), y[400:500])
    if what == "labels in floats":
        y = y.astype(np.float32)
    return task(**{"train": (x[:400], y[:400]), "val": (x[400:500], y[400:500]), **changes})


@pytest.mark.parametrize(
    ("what", "verdict", "cause", "component", "where"),
    [
        ("nan", Verdict.FAILED, "not-finite", "data", "rows 7, 9"),
        ("blank", Verdict.WARNED, "constant-feature", "data", "rows 5, 6"),
        ("label too large", Verdict.FAILED, "label-out-of-range", "labels", "train"),
        ("label negative", Verdict.FAILED, "label-out-of-range", "labels", "train"),
        ("labels in floats", Verdict.FAILED, "label-out-of-range", "labels", "train"),
        ("all inputs equal", Verdict.FAILED, "constant-input", "data", "train"),
        ("conflicts", Verdict.WARNED, "label-conflict", "labels", "train rows"),
        ("val narrower", Verdict.FAILED, "prepared-differently", "split", "val inputs"),
        ("val in bytes", Verdict.FAILED, "prepared-differently", "split", "val inputs"),
    ],
)
def test_a_planted_fault_is_named_with_its_place(what, verdict, cause, component, where):
    findings = check(check_corrupt, changed(what))
    assert (findings[0].verdict, first_cause(findings)) == (verdict, cause)
    assert findings[0].suspects[0].component == component
    assert where in findings[0].suspects[0].where


@pytest.mark.parametrize("what", ["nothing", "conflicts, declared"])
def test_healthy_data_is_silent(what):
    findings = check(check_corrupt, changed(what))
    assert [finding.verdict for finding in findings] == [Verdict.PASSED]
    assert findings[0].evidence["constant_features"] == 5  # the margins of the digits


def test_noisy_tables_and_constant_bit_strings_are_silent():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (600, 16)).astype(np.float32)
    x[:3] = 0.0
    y = (x[:, 0].astype(int) ^ (rng.random(600) < 0.1)).astype(np.int32)
    x[300:] = x[:300]
    subject = task(train=(x, y), val=(x[:100], y[:100]))
    assert check(check_corrupt, subject)[0].verdict is Verdict.PASSED


def test_equal_inputs_with_other_numbers_are_the_noise_of_a_regression():
    x = digits()[0].copy()
    x[:40] = x[40:80]
    y = np.random.default_rng(0).normal(size=len(x)).astype(np.float32)
    subject = task(
        jr.models.MLP(1, width=8, squeeze=True),
        jr.losses.l2(),
        train=(x[:400], y[:400]),
        val=(x[400:500], y[400:500]),
    )
    (finding,) = check(check_corrupt, subject)
    assert finding.verdict is Verdict.PASSED
    assert finding.evidence["conflicting_rows"] == 80


def test_a_loss_of_ones_own_is_compared_with_the_outputs():
    loss = lambda outputs, targets: -outputs[:, 0]  # noqa: E731
    x, y = digits()
    findings = check(check_corrupt, task(loss=loss, train=(x[:400], y[:400] + 5)))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "label-out-of-range")
    assert check(check_corrupt, task(loss=loss))[0].verdict is Verdict.PASSED


def test_measures():
    tree = {"a": np.array([[1.0, np.nan], [2.0, 3.0]]), "n": np.array([1, 2])}
    assert {path: rows.tolist() for path, rows in not_finite_rows(tree).items()} == {"['a']": [0]}
    assert constant_features({"a": np.ones((3, 2)), "b": np.arange(3)}) == (2, 3)
    assert blank_rows(np.eye(20, 16)).tolist() == [16, 17, 18, 19]
    rows, repeated = label_conflicts(np.array([1, 1, 2, 2, 3]), np.array([0, 1, 0, 0, 5]))
    assert (rows.tolist(), repeated) == ([0, 1], 4)


def test_judges():
    numbers = {"natural": False, "label_noise": None}
    assert judge_conflicts(conflicts=4, repeated=20, **numbers) is Verdict.WARNED
    assert judge_conflicts(conflicts=2, repeated=2, **numbers) is Verdict.PASSED
    assert judge_conflicts(conflicts=4, repeated=900, **numbers) is Verdict.PASSED
    assert (
        judge_conflicts(conflicts=4, repeated=4, natural=True, label_noise=None) is Verdict.PASSED
    )
    assert judge_blank(blank=2, rows=100, natural=False) is Verdict.WARNED
    assert judge_blank(blank=20, rows=100, natural=False) is Verdict.PASSED


def texts(conflicting: str) -> jr.Task:
    """A task of weighted words; some texts hold no word that is known."""
    rng = np.random.default_rng(0)
    x = np.zeros((300, 200), np.float32)
    for row in x:
        row[rng.choice(200, 12, replace=False)] = 0.3
    y = rng.integers(0, 2, 300)
    if conflicting == "few words":
        x[:12], x[12:24, 5:] = 0, 0
        x[12:24, :3] = 0.5
        y[:24] = np.arange(24) % 2
    if conflicting == "whole texts":
        x[:12] = x[12:24]
        y[:12] = 1 - y[12:24]
    return jr.Task(
        model=jr.models.Linear(2),
        loss=jr.losses.softmax_cross_entropy(),
        train=(x, y),
        val=(x[200:], y[200:]),
        decode=lambda inputs: ["text"] * len(inputs),
        batch_size=32,
    )


def test_texts_of_which_nothing_is_left_do_not_conflict():
    assert {f.verdict for f in check(check_corrupt, texts("few words"))} == {Verdict.PASSED}
    (finding,) = check(check_corrupt, texts("whole texts"))
    assert finding.suspects[0].cause == "label-conflict"
