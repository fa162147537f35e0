"""A4: sorted files and features that give the target away are named; easy tasks are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import digits

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.result import Finding, Verdict
from jrecipe.checks.row_order import Order, judge_order, measure_order
from jrecipe.checks.shortcuts import (
    check_shortcuts,
    judge_copies,
    judge_summaries,
    measure_copies,
)
from jrecipe.checks.single_features import Single, judge_single, nearest_value_answers

pytestmark = pytest.mark.thin(6)


def task(x: np.ndarray, y: np.ndarray, **changes: Any) -> jr.Task:
    rows = len(x) * 2 // 3
    data = (x[:rows], y[:rows]), (x[rows:], y[rows:])
    return programs.classify(0, data=data, **changes)


def alarms(subject: jr.Task) -> list[Finding]:
    return [f for f in check_shortcuts(Context(subject)) if f.verdict in programs.ALARMS]


def said(subject: jr.Task) -> list[tuple[str, str]]:
    return [(f.suspects[0].cause, f.suspects[0].where) for f in alarms(subject)]


def some(seed: int, n: int = 480) -> tuple[np.ndarray, np.ndarray]:
    x, y = digits()
    rows = np.random.default_rng(seed).permutation(len(x))[:n]
    return x[rows].copy(), y[rows].copy()


SORTED = [("unshuffled-data", "train rows in order of the target")]


@given(seed=st.integers(0, 10**6), noise=st.sampled_from([0.0, 0.1]))
@settings(max_examples=8, deadline=None)
def test_files_sorted_by_class(seed: int, noise: float):
    x, y = some(seed, 320)
    assert said(programs.classify(0, data=((x, y), (x, y)))) == []
    order = np.argsort(y, kind="stable")
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(len(y)) < noise, rng.integers(0, 10, len(y)), y[order]).astype("i4")
    sorted_ = programs.classify(0, data=((x[order], y), (x, y)))
    assert said(sorted_) == SORTED
    assert said(sorted_.replace(ordered_data=True)) == []


@pytest.mark.parametrize("shape", ["two-shards", "blocks", "class-order-random"])
def test_other_files_in_blocks(shape: str):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 400)
    if shape == "two-shards":
        y = np.concatenate([np.sort(y[:200]), np.sort(y[200:])])
    elif shape == "blocks":
        y = np.repeat(rng.integers(0, 10, 25), 16)
    else:
        y = rng.permutation(10)[np.sort(y)]
    assert judge_order(measure_order(y, None)).verdict is Verdict.WARNED


@pytest.mark.parametrize("shape", ["sorted", "in-steps", "two-sorted-files"])
def test_files_sorted_by_number(shape: str):
    y = np.random.default_rng(0).normal(size=300)
    if shape == "two-sorted-files":
        y = np.concatenate([np.sort(y[:150]), np.sort(y[150:])])
    else:
        y = y[np.argsort(y if shape == "sorted" else np.round(2 * y), kind="stable")]
    assert judge_order(measure_order(None, y)).verdict is Verdict.WARNED
    assert judge_order(measure_order(None, y), along="inputs").verdict is Verdict.PASSED


@given(seed=st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_series_are_not_sorted_files(seed: int):
    rng = np.random.default_rng(seed)
    n = 600
    time, noise = np.arange(n) / n, rng.normal(size=n)
    for series in (np.cumsum(noise), 5 * time + noise, np.sin(20 * time) + 0.1 * noise, noise):
        assert judge_order(measure_order(None, series)).verdict is Verdict.PASSED
    stays = rng.random(n) < 0.9
    labels = rng.integers(0, 5, n)
    for i in range(1, n):
        labels[i] = labels[i - 1] if stays[i] else labels[i]
    drift = (rng.random(n) < 0.1 + 0.8 * time).astype(int)
    for classes in (labels, drift, np.arange(n) // 25 % 4, rng.integers(0, 10, n)):
        assert judge_order(measure_order(classes, None)).verdict is Verdict.PASSED


@given(seed=st.integers(0, 10**6), column=st.integers(0, 63), noise=st.sampled_from([0.0, 0.05]))
@settings(max_examples=8, deadline=None)
def test_a_feature_that_holds_the_class(seed: int, column: int, noise: float):
    x, y = some(seed)
    x[:, column] = y + noise * np.random.default_rng(seed).normal(size=len(y))
    assert said(task(x, y)) == [("label-leak", f"inputs feature {column}")]


def test_leaks_of_other_kinds():
    x, y = some(0)
    one_hot = np.concatenate([x, np.eye(10, dtype="f4")[y]], axis=1)
    columns = ", ".join(str(i) for i in range(64, 74))
    assert said(task(one_hot, y)) == [("label-leak", f"inputs feature {columns}")]
    mostly = x.copy()
    rows = np.arange(len(x)) % 10 > 0
    mostly[rows, 0] = y[rows]
    assert said(task(mostly, y)) == [("label-leak", "inputs feature 0")]
    pictures = x.reshape(-1, 8, 8, 1).copy()
    pictures[:, 0, 7, 0] = y
    assert said(task(pictures, y)) == [("label-leak", "inputs feature (0, 7, 0)")]
    brighter = x + 3.0 * y[:, None]
    assert said(task(brighter, y)) == [("shortcut", "inputs mean")]
    (x, y), val = programs.numbers(0)
    copied = x.copy()
    copied[:, 3] = np.exp(y[:, 0])
    leaky = programs.regress(0, data=((copied, y), val))
    assert said(leaky) == [("label-leak", "inputs feature 3")]
    assert said(programs.regress(0, data=((x, y), val))) == []


def easy(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 8)).astype("f4")
    if name.startswith("load"):
        loaded = getattr(datasets, name)()
        rows = rng.permutation(len(loaded.data))
        return loaded.data[rows].astype("f4"), loaded.target[rows].astype("i4")
    if name.startswith("blobs"):
        k = int(name[-1])
        return datasets.make_blobs(600, k, centers=k, center_box=(-20, 20), random_state=seed)
    if name == "classification":
        return datasets.make_classification(
            600, 20, n_informative=3, class_sep=3, random_state=seed
        )
    bits = (x > 0).astype("f4")
    walk = np.cumsum(rng.normal(size=610))
    lags = np.stack([walk[i : 600 + i] for i in range(10)], axis=1)
    return {
        "sign-of-one": lambda: (x, (x[:, 0] > 0).astype("i4")),
        "sum": lambda: (x, (x.sum(axis=1) > 0).astype("i4")),
        "parity": lambda: (bits, bits.sum(axis=1).astype("i4") % 2),
        "one-bit": lambda: (bits, bits[:, 0].astype("i4")),
        "line": lambda: (np.arange(600.0)[:, None], 3 * np.arange(600.0)[:, None] + 2),
        "copy-of-one": lambda: (x, 2 * x[:, :1]),
        "walk": lambda: (lags, walk[10:, None]),
    }[name]()


@pytest.mark.parametrize(
    "name",
    ["load_iris", "load_wine", "load_breast_cancer", "blobs2", "blobs5", "classification",
     "sign-of-one", "sum", "parity", "one-bit", "line", "copy-of-one", "walk"],
)  # fmt: skip
def test_easy_tasks_stay_silent(name: str):
    for seed in range(2):
        x, y = easy(name, seed)
        assert said(task(x, y)) == []


def test_targets_that_stand_among_the_inputs():
    tokens = np.random.default_rng(0).integers(0, 20, (50, 9))
    assert measure_copies(tokens, tokens) == 1.0
    assert measure_copies(tokens[:, :-1], tokens[:, 1:]) < 0.05
    finding = judge_copies(1.0, causal=True)
    assert finding is not None
    assert finding.suspects[0].cause == "label-leak"
    assert judge_copies(1.0, causal=False) is None
    assert judge_copies(0.0, causal=True) is None


def single(**changes: object) -> Single:
    given_: dict = {
        "features": 20, "held_out": 200, "given_away": (4,), "best": 1.0, "second": 0.4,
        "informative": True, "slack": 0.0, "classes": 10,
    }  # fmt: skip
    return Single(**{**given_, **changes})


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.WARNED),
        ({"second": 0.97}, Verdict.PASSED),
        ({"informative": False}, Verdict.PASSED),
        ({"features": 4}, Verdict.PASSED),
        ({"given_away": tuple(range(10))}, Verdict.PASSED),
        ({"held_out": 10}, Verdict.PASSED),
        ({"given_away": (), "best": 0.9, "second": 0.3}, Verdict.WARNED),
        ({"given_away": (), "best": 0.9, "second": 0.6}, Verdict.PASSED),
    ],
)
def test_judging_single_features(changes: dict, verdict: Verdict):
    names = [f"inputs feature {i}" for i in range(20)]
    assert judge_single(single(**changes), names, numbers=False).verdict is verdict


def test_judging_order_and_summaries():
    assert judge_order(Order(rows=300, monotone=0.99)).verdict is Verdict.WARNED
    assert judge_order(Order(rows=300, monotone=0.99), ordered=True).verdict is Verdict.PASSED
    assert isinstance(judge_summaries({"mean": (1.0, 10.0)}, 100), Finding)
    assert isinstance(judge_summaries({"mean": (1.0, 1.0)}, 100), str)
    assert judge_summaries({}, 100) == ""


def test_nearest_values_vote():
    known, labels = np.array([0.0, 0.0, 0.0, 1.0]), np.array([2, 2, 0, 1])
    assert nearest_value_answers(known, labels, np.array([-5, 0.4, 0.6]), 3).tolist() == [2, 2, 1]


def test_odd_healthy_programs_stay_silent():
    names = ("label-noise-30%", "imbalanced-declared", "tiny-data", "multi-label", "vae-negative",
             "tokens-padded", "contrastive", "dict-inputs", "poisson", "linear")  # fmt: skip
    for name in names:
        assert not alarms(programs.HEALTHY[name](1)), name
