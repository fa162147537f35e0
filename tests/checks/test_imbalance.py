"""A3: how targets are distributed."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import check, digits, first_cause, task

import jrecipe as jr
from jrecipe.checks.human import check_human
from jrecipe.checks.imbalance import (
    check_imbalance,
    drift,
    judge_balance,
    judge_drift,
    judge_missing,
    prior_entropy,
)
from jrecipe.checks.result import Verdict


@given(st.integers(1, 30), st.integers(1, 50))
def test_balanced_classes_have_entropy_log_c(classes, each):
    counts = np.full(classes, each)
    assert prior_entropy(counts) == pytest.approx(math.log(classes))
    assert judge_balance(counts=counts, intended=False) is Verdict.PASSED


@given(seed=st.integers(0, 999), classes=st.sampled_from([2, 10, 100]), rows=st.integers(20, 2000))
def test_random_splits_do_not_drift(seed, classes, rows):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(classes))
    a, b = rng.multinomial(5 * rows, shares), rng.multinomial(rows, shares)
    distance, p = drift(a, b)
    assert judge_drift(distance=distance, p=p, ordered=False) is Verdict.PASSED


def test_chi_square_agrees_with_scipy():
    from scipy.stats import chi2_contingency

    a, b = np.array([30, 50, 20, 0]), np.array([12, 40, 8, 0])
    assert drift(a, b)[1] == pytest.approx(chi2_contingency(np.stack([a, b])[:, :3]).pvalue)


@pytest.mark.parametrize(
    ("counts", "verdict"),
    [
        ([100, 9], Verdict.WARNED),
        ([40, 3], Verdict.WARNED),
        ([100, 11], Verdict.PASSED),
        ([3, 1], Verdict.PASSED),
        ([12, 1], Verdict.PASSED),
        ([1000, 400, *[101] * 8], Verdict.PASSED),
        ([100, 100, 0], Verdict.PASSED),
    ],
)
def test_balance_is_judged_by_numbers(counts, verdict):
    assert judge_balance(counts=np.array(counts), intended=False) is verdict
    assert judge_balance(counts=np.array(counts), intended=True) is Verdict.PASSED


def test_missing_classes_are_those_to_be_expected():
    train, other = np.array([100, 5, 0, 100]), np.array([60, 0, 3, 0])
    assert judge_missing(train=train, other=other) == ([2], [3])


def subset(keep: np.ndarray, **changes) -> jr.Task:
    x, y = digits()
    rows = np.flatnonzero(keep[:1200])
    return task(train=(x[rows], y[rows]), val=(x[1200:], y[1200:]), **changes)


def test_planted_faults_are_named():
    y = digits()[1]
    rare = (y != 3) | (np.cumsum(y == 3) <= 6)
    findings = check(check_imbalance, subset(rare))
    assert {f.suspects[0].cause for f in findings} == {"imbalance"}
    assert findings[0].suspects[0].where == "class 3"
    assert findings[0].figures[0].values["3"] == 6.0
    assert (
        check(check_imbalance, subset(rare, imbalance_intended=True))[0].verdict is Verdict.PASSED
    )

    findings = check(check_imbalance, subset(y != 3))
    assert findings[0].suspects[0].cause == "missing-class"
    assert findings[0].suspects[0].where == "train class 3"

    findings = check(check_imbalance, subset((y < 5) | (np.arange(len(y)) % 3 == 0)))
    assert first_cause(findings) == "prepared-differently"
    ordered = subset((y < 5) | (np.arange(len(y)) % 3 == 0), ordered_data=True)
    assert check(check_imbalance, ordered)[0].verdict is Verdict.PASSED

    x = digits()[0]
    one = task(train=(x[:400], np.zeros(400, int)), val=(x[400:500], np.zeros(100, int)))
    findings = check(check_imbalance, one)
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, "missing-class")


def test_healthy_targets_of_every_kind_are_described():
    x, y = digits()
    many = np.stack([y % 2, y > 4], axis=1).astype(np.float32)
    subjects = {
        "10 classes": task(),
        "mean 4.": task(
            loss=jr.losses.l2(), train=(x[:400], y[:400] / 1.0), val=(x[400:], y[400:] / 1.0)
        ),
        "2 labels": task(
            loss=jr.losses.multilabel_cross_entropy(),
            train=(x[:400], many[:400]),
            val=(x[400:], many[400:]),
        ),
        "2 classes": task(
            loss=jr.losses.sigmoid_cross_entropy(),
            train=(x[:400], y[:400] % 2),
            val=(x[400:], y[400:] % 2),
        ),
        "10 different tokens": task(
            loss=jr.losses.token_cross_entropy(),
            train=(x[:400], np.stack([y, y], 1)[:400]),
            val=(x[400:], np.stack([y, y], 1)[400:]),
        ),
    }
    for text, subject in subjects.items():
        findings = check(check_imbalance, subject)
        assert [finding.verdict for finding in findings] == [Verdict.PASSED]
        assert text in findings[0].finding


def test_a_label_for_each_pixel_may_stay_the_same_but_others_may_not():
    x, _ = digits()
    ink = (x > 0).astype(np.float32)  # the edge of the pictures is always empty
    splits = {"train": (x[:400].reshape(-1, 8, 8, 1), ink[:400])}
    splits["val"] = (x[400:].reshape(-1, 8, 8, 1), ink[400:])
    loss = jr.losses.multilabel_cross_entropy()
    mask = check(check_imbalance, task(loss=loss, **splits))
    assert mask[0].verdict is Verdict.PASSED
    some = {name: (inputs, labels[:, :40]) for name, (inputs, labels) in splits.items()}
    labels = check(check_imbalance, task(loss=loss, **some))
    assert first_cause(labels) == "missing-class"


def test_labels_may_be_minus_one_and_one():
    x, y = digits()
    sign = np.where(y > 4, 1, -1)
    hinge = lambda outputs, targets: np.maximum(0, 1 - targets * outputs[:, 0])  # noqa: E731
    subject = task(loss=hinge, train=(x[:400], sign[:400]), val=(x[400:600], sign[400:600]))
    assert all(
        f.suspects == () or f.suspects[0].cause != "raises" for f in check(check_human, subject)
    )


@pytest.mark.parametrize("declared", [False, True])
def test_a_long_tail_that_is_meant_may_be_looked_at_in_balance(declared):
    x, y = digits()
    rng = np.random.default_rng(0)
    tail = np.flatnonzero(rng.random(1200) < 0.7 ** y[:1200].astype(float))
    subject = task(train=(x[tail], y[tail]), val=(x[1200:], y[1200:]), imbalance_intended=declared)
    causes = {s.cause for f in check(check_imbalance, subject) for s in f.suspects}
    assert ("prepared-differently" in causes) is not declared


@pytest.mark.parametrize("moved", [0.0, 0.4, 0.8])  # 0.4 is no accident, but small
def test_numbers_that_one_split_has_elsewhere(moved):
    x, y = digits()
    numbers = ((y - y.mean()) / y.std()).astype(np.float32)
    splits = {"train": (x[:700], numbers[:700]), "val": (x[700:], numbers[700:] + moved)}
    findings = check(check_imbalance, task(loss=jr.losses.l2(), **splits))
    assert (first_cause(findings) == "prepared-differently") is (moved > 0.5)
    later = check(check_imbalance, task(loss=jr.losses.l2(), ordered_data=True, **splits))
    assert later[0].verdict is Verdict.PASSED
