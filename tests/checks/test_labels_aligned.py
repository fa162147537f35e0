"""G7: labels beside their own rows, slipped, shuffled apart, and forecasts that look slipped."""

from __future__ import annotations

import numpy as np
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.checks.context import Context
from jrecipe.checks.labels_aligned import (
    Agreement,
    Stretch,
    check_labels_aligned,
    judge_apart,
    judge_stretch,
    slipped_stretch,
)
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(3)


def alarms(task):
    """The places of all alarms."""
    found = [f for f in check_labels_aligned(Context(task)) if f.verdict is Verdict.FAILED]
    assert all(f.suspects[0].cause == "labels-shifted" for f in found)
    assert all(f.suspects[0].component == "labels" for f in found)
    return [f.suspects[0].where for f in found]


@pytest.mark.parametrize("shift", [-2, 1, 3])
def test_labels_that_slipped_are_named_with_rows_and_shift(shift):
    (x, y), val = programs.digits(0)
    where = alarms(programs.classify(0, data=((x, np.roll(y, shift)), val)))
    assert where == [f"train rows 0-319, by {shift:+d}"]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(60, 260))
def test_a_lost_row_is_found_where_it_is_missing(seed, lost):
    (x, y), val = programs.digits(seed)
    y = np.concatenate([y[:lost], y[lost + 1 :], y[:1]])
    (where,) = alarms(programs.classify(seed, data=((x, y), val)))
    first = int(where.split()[2].split("-")[0])
    assert abs(first - lost) <= 8
    assert where.endswith("by -1")


def test_both_splits_can_slip_and_both_are_named():
    (x, y), (vx, vy) = programs.digits(1)
    where = alarms(programs.classify(1, data=((x, np.roll(y, 1)), (vx, np.roll(vy, 1)))))
    assert where == ["train rows 0-319, by +1", "val rows 0-159, by +1"]


def test_numbers_slip_too():
    (x, y), val = programs.numbers(0)
    y = np.concatenate([y[:150], y[151:], y[:1]])
    (where,) = alarms(programs.regress(0, data=((x, y), val)))
    assert where.startswith("train rows 1")
    assert where.endswith("by -1")


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_shuffled_apart_are_found_by_the_other_split(split):
    train, val = programs.digits(0)
    change = np.random.default_rng(0).permutation
    train = programs.relabel(train, change) if split == "train" else train
    val = programs.relabel(val, change) if split == "val" else val
    assert alarms(programs.classify(0, data=(train, val))) == [split]


def test_classes_numbered_anew_in_validation_are_found():
    train, val = programs.digits(0)
    val = programs.relabel(val, lambda y: (y + 3) % 10)
    assert alarms(programs.classify(0, data=(train, val))) == ["val"]


QUIET = (
    "classify",
    "regress",
    "label-noise-30%",
    "imbalanced-declared",
    "tiny-data",
    "multi-label",
    "tokens-padded",
    "contrastive",
    "vae-negative",
    "dict-inputs",
    "binary",
    "poisson",
)


@pytest.mark.thin(9)
@pytest.mark.parametrize("name", QUIET)
def test_healthy_programs_stay_silent(name):
    assert alarms(programs.HEALTHY[name](2)) == []


def series(kind, seed=0):
    """Healthy data in the order of time, or with structure that shifts may mistake."""
    rng = np.random.default_rng(seed)
    r = rng.normal(size=490)
    windows = np.arange(480)[:, None] + np.arange(4)
    x, y = {
        "white-next-value": lambda: (r[windows], r[4:484, None]),
        "white-next-sign": lambda: (r[windows], (r[4:484] > 0).astype(np.int32)),
        "walk": lambda: (np.cumsum(r)[windows], np.cumsum(r)[4:484, None]),
        "random-labels": lambda: (rng.normal(size=(480, 8)), rng.integers(0, 2, 480)),
        "repeats": lambda: (
            np.repeat(rng.normal(size=(120, 4)), 4, 0),
            np.repeat(np.arange(120) % 3, 4),
        ),
        "sorted": lambda: (np.sort(r[:480])[:, None] * np.ones(3), (np.sort(r[:480]) > 0) * 1),
    }[kind]()
    make = programs.classify if y.dtype.kind in "iu" else programs.regress
    x, y = x.astype(np.float32), y.astype(np.int32 if y.dtype.kind in "iu" else np.float32)
    return make(seed, data=((x[:320], y[:320]), (x[320:], y[320:])))


@pytest.mark.parametrize(
    "kind", ["white-next-value", "white-next-sign", "walk", "random-labels", "repeats", "sorted"]
)
def test_series_and_structure_stay_silent(kind):
    assert alarms(series(kind)) == []


def stretch(**changes):
    fields = {
        "split": "train",
        "first": 100,
        "last": 319,
        "shift": 1,
        "stored": 0.01,
        "realigned": 0.8,
        "stderr": 0.03,
    }
    return Stretch(**{**fields, **changes})


def test_judge_asks_for_chance_as_stored_and_agreement_realigned():
    assert judge_stretch(stretch(), 320).verdict is Verdict.FAILED
    assert judge_stretch(stretch(stored=0.6), 320) is None
    assert judge_stretch(stretch(realigned=0.1), 320) is None
    assert judge_stretch(stretch(stored=-0.7), 320) is None
    assert judge_stretch(stretch(copied=True), 320) is None


def test_judge_of_splits_asks_for_another_split_that_agrees():
    none, clear = Agreement(0.01, 0.02, 320), Agreement(0.7, 0.04, 160)

    def judge(own, other, across=False):
        return judge_apart(split="train", own=own, other_name="val", other=other, across=across)

    assert judge(none, clear).suspects[0].where == "train"
    assert judge(none, none) is None
    assert judge(clear, clear) is None
    assert judge(Agreement(0.01, 0.2, 320), clear) is None
    assert judge(Agreement(-0.1, 0.01, 160), clear) is None
    assert judge(Agreement(-0.1, 0.01, 160), clear, across=True) is not None


def test_slipped_stretch_finds_where_gains_begin():
    gains = np.full(300, -0.5)
    gains[120:] = 0.5
    start, stop, z = slipped_stretch(gains)
    assert (start, stop) == (120, 300)
    assert z > 10
