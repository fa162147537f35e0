"""A5: wrong labels found and ranked; hard, imbalanced and ordinal data left alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import skeleton_programs as programs

from jrecipe.checks.context import Context
from jrecipe.checks.label_noise import (
    Contradictions,
    Flip,
    check_label_noise,
    judge_label_noise,
    measure,
    random_labels,
)
from jrecipe.checks.out_of_sample import left_out
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(8)


def alarms(task):
    """The splits that are said to have wrong labels."""
    found = [f for f in check_label_noise(Context(task)) if f.verdict is Verdict.WARNED]
    assert all(f.suspects[0].cause == "label-noise" for f in found)
    assert all(f.suspects[0].component == "labels" for f in found)
    return [f.suspects[0].where.split()[0] for f in found]


def spoiled(y, share, seed, classes=10):
    """Labels of which a share is drawn at random, and which they are."""
    rng = np.random.default_rng([seed, 7])
    drawn = rng.integers(0, classes, len(y))
    change = rng.random(len(y)) < share
    return np.where(change, drawn, y).astype(np.int32), np.flatnonzero(change & (drawn != y))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_random_labels_in_training_are_found_and_the_rows_are_right(share):
    (x, y), val = programs.digits(0)
    y, wrong = spoiled(y, share, 0)
    task = programs.classify(0, data=((x, y), val))
    assert alarms(task) == ["train"]
    named = measure(Context(task))["train"].rows[:12]
    assert np.isin(named, wrong).mean() >= 0.8


def test_random_labels_in_both_splits_are_found():
    assert "train" in alarms(programs.classify(0, data=programs.noisy(0, 0.2)))


def test_random_labels_in_a_table_are_found():
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].astype(np.float32), y[order].astype(np.int32)
    clean = programs.classify(
        0, model=programs.Net(2), data=((x[:380], y[:380]), (x[380:], y[380:]))
    )
    assert alarms(clean) == []
    assert alarms(clean.replace(train=(x[:380], spoiled(y[:380], 0.3, 0, 2)[0]))) == ["train"]


def test_one_class_labelled_as_another_is_found():
    (x, y), val = programs.digits(3, 900, 160)
    turned = (y == 7) & (np.random.default_rng(0).random(len(y)) < 0.3)
    task = programs.classify(3, data=((x, np.where(turned, 1, y).astype(np.int32)), val))
    (finding,) = check_label_noise(Context(task))
    assert finding.verdict is Verdict.WARNED
    assert "7 stored as 1" in finding.finding


def test_declared_noise_is_silent_and_a_declaration_that_is_too_small_is_not():
    data = programs.noisy(0, 0.3)
    assert alarms(programs.classify(0, data=data, label_noise=0.3)) == []
    assert alarms(programs.classify(0, data=data, label_noise=0.05)) != []


def hard(kind, seed):
    """Clean data on which a cheap machine errs often."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(480, 8)).astype(np.float32)
    score = 2 * x[:, 0] + x[:, 1]
    y = {
        "logistic": lambda: rng.random(480) < 1 / (1 + np.exp(-score)),
        "weak": lambda: rng.random(480) < 1 / (1 + np.exp(-score / 2)),
        "rare": lambda: rng.random(480) < 1 / (1 + np.exp(3.5 - score)),
        "ordinal": lambda: np.digitize(score + rng.normal(size=480), [-2, -0.5, 0.5, 2]),
        "hopeless": lambda: rng.integers(0, 3, 480),
        "parity": lambda: (x[:, :3] > 0).sum(axis=1) % 2,
    }[kind]().astype(np.int32)
    return programs.classify(
        seed, model=programs.Net(int(y.max()) + 1), data=((x[:320], y[:320]), (x[320:], y[320:]))
    )


@pytest.mark.parametrize("kind", ["logistic", "weak", "rare", "ordinal", "hopeless", "parity"])
def test_hard_data_stay_silent(kind):
    assert [alarms(hard(kind, seed)) for seed in (0, 1)] == [[], []]


@pytest.mark.parametrize(
    "name", ["classify", "regress", "tiny-data", "imbalanced-declared", "multi-label", "binary"]
)
def test_healthy_programs_stay_silent(name):
    assert alarms(programs.HEALTHY[name](1)) == []


def test_validation_rows_that_are_copies_of_training_rows_are_no_standard():
    (x, y), _ = programs.digits(0)
    assert alarms(programs.classify(0, data=((x, y), (x[:160], y[:160])))) == []


FOUND = Contradictions(
    sure=150,
    hits=15,
    unsure=170,
    misses=40,
    flat=0.5,
    spread=0.5,
    pair=0.1,
    rows=np.arange(55),
    classes=10,
)


def test_form_of_random_labels():
    assert random_labels(FOUND)
    change = dataclasses.replace
    assert not random_labels(change(FOUND, hits=2))
    assert not random_labels(change(FOUND, flat=0.2, spread=0.2))
    assert not random_labels(change(FOUND, hits=80))
    assert not random_labels(change(FOUND, misses=150))
    binary = change(FOUND, classes=2, spread=0.0, misses=25)
    assert random_labels(binary)
    assert not random_labels(change(binary, flat=0.3))
    assert not random_labels(change(binary, misses=100))


def test_training_is_judged_against_validation_where_its_own_form_proves_nothing():
    hard = dataclasses.replace(FOUND, hits=45, misses=150, flat=0.3, spread=0.3)
    clean = dataclasses.replace(hard, hits=15)

    def judge(split, found, other):
        return judge_label_noise(split=split, found=found, other=other, declared=None).verdict

    assert judge("train", hard, clean) is Verdict.WARNED
    assert judge("train", clean, clean) is Verdict.PASSED
    assert judge("val", hard, clean) is Verdict.PASSED


def test_one_way_flips_are_flat_and_one_sided():
    flip = Flip(name="a", hits=9, total=30, back=0.1, flat=0.5, rest=0.05, rows=np.arange(9))
    assert flip.one_way(10)
    assert not dataclasses.replace(flip, flat=0.15).one_way(10)
    assert not dataclasses.replace(flip, back=0.3).one_way(10)
    assert not dataclasses.replace(flip, rest=0.4).one_way(10)


def test_a_row_does_not_answer_for_itself():
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(80, 4)), rng.integers(0, 2, 80)
    own, _ = left_out(points, labels, 2)
    turned = labels.copy()
    turned[5] = 1 - turned[5]
    other, _ = left_out(np.delete(points, 5, axis=0), np.delete(labels, 5), 2, points[5:6])
    again, asked = left_out(points, turned, 2, points[:1])
    assert asked.shape == (1, 2)
    # The penalty is chosen on all rows, so the two may differ a little, but not by the label.
    assert abs(own[5, 0] - again[5, 0]) < 0.15
    assert other.shape == (79, 2)
