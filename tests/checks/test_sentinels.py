"""A2: far numbers are caught in any feature and split; heavy tails and sparse ones are not."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.checks import Context
from jrecipe.checks.result import Finding, Verdict
from jrecipe.checks.sentinels import (
    Far,
    Sentinel,
    check_sentinels,
    judge_far,
    judge_sentinels,
    measure_sentinels,
)

ROWS = 500


def plain(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(ROWS, 6)).astype(np.float32)


def ages(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(18, 90, (ROWS, 2)).astype(np.float32)


def put(x: np.ndarray, value: float, copies: int, column: int, seed: int = 0) -> np.ndarray:
    x = x.copy()
    x[np.random.default_rng(seed).permutation(len(x))[:copies], column] = value
    return x


def found(x: np.ndarray) -> list[Sentinel]:
    return measure_sentinels({"train": x[:300], "val": x[300:]})[0]


def far(**changes: object) -> Far:
    given_: dict = {
        "value": -999.0, "copies": 9, "exact": True, "share": 0.02, "rest": 200, "low": -3.0,
        "high": 3.0, "ratio": 160.0, "odds": 100.0, "spacing": 100.0,
    }  # fmt: skip
    return Far(**{**given_, **changes})


@given(
    seed=st.integers(0, 10**6),
    value=st.sampled_from([-999.0, 9999.0, 1e9, -9999.0]),
    copies=st.integers(3, 120),
    column=st.integers(0, 5),
    shape=st.sampled_from(["plain", "standardised", "skewed", "counts"]),
)
@settings(max_examples=25, deadline=None)
def test_a_repeated_far_number_is_found_in_its_feature(seed, value, copies, column, shape):
    x = plain(seed)
    x = (
        np.exp(0.5 * x)
        if shape == "skewed"
        else np.floor(np.abs(3 * x))
        if shape == "counts"
        else x
    )
    assert not found(x)
    x = put(x, value, copies, column, seed)
    x = x.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0) if shape == "standardised" else x
    assert [(one.unit, one.index) for one in found(x)] == [("feature", column)]


@pytest.mark.parametrize(
    ("name", "x"),
    [
        ("minus-one-before-ages", put(ages(0), -1, 20, 0)),
        ("flag", put((plain(0) > 0).astype("f4"), -999.0, 20, 0)),
        ("one-wild-spike", put(plain(0), 1e6, 1, 0)),
        ("two-rows-in-other-units", plain(0) * 0.1 + 1.7),
        ("integers", put(np.random.default_rng(0).integers(0, 50, (ROWS, 1)), -9999, 5, 0)),
    ],
)  # fmt: skip
def test_other_far_numbers(name: str, x: np.ndarray):
    if name == "two-rows-in-other-units":
        x[[5, 9], 0] *= 1000
    assert {one.index for one in found(x)} == {0}


def test_a_wild_pixel_is_found_in_its_channel():
    x = np.random.default_rng(0).normal(size=(80, 6, 6, 3)).astype("f4")
    x[7, 2, 3, 1] = 1e6
    (one,) = measure_sentinels({"train": x})[0]
    assert (one.unit, one.index, one.rows["train"].tolist()) == ("channel", 1, [7])


def healthy(name: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = (ROWS, 20)
    tokens = rng.integers(32, 122, shape)
    tokens[:, 0], tokens[:, 15:] = 256, 257
    return {
        "log-normal": lambda: np.exp(2 * rng.normal(size=shape)),
        "cauchy": lambda: rng.standard_cauchy(shape),
        "pareto-counts": lambda: np.floor(rng.pareto(1.0, shape)),
        "zipf": lambda: rng.zipf(1.5, shape).astype("f4"),
        "one-hot": lambda: np.eye(20)[rng.integers(0, 20, ROWS)],
        "sparse": lambda: (rng.random(shape) < 0.02) * rng.random(shape),
        "zero-inflated": lambda: (rng.random(shape) < 0.2) * (500 + rng.gamma(2, 500, shape)),
        "clipped": lambda: np.clip(rng.normal(size=shape), -1, 1),
        "ids": lambda: np.arange(ROWS)[:, None].astype("f4"),
        "log-spaced": lambda: 10.0 ** rng.integers(0, 5, shape),
        "bytes-with-marks": lambda: tokens,
        "padded-with--1": lambda: np.where(np.arange(20) < 12, rng.integers(1, 400, shape), -1),
        "saturated": lambda: np.minimum(rng.exponential(1, shape), 1.0),
    }[name]()  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["log-normal", "cauchy", "pareto-counts", "zipf", "one-hot", "sparse", "zero-inflated",
     "clipped", "ids", "log-spaced", "bytes-with-marks", "padded-with--1", "saturated"],
)  # fmt: skip
def test_odd_but_healthy_features_stay_silent(name: str):
    for seed in range(3):
        assert not found(healthy(name, seed))


def test_real_tables_stay_silent_raw_and_standardised():
    from sklearn.datasets import load_breast_cancer, load_digits, load_wine

    for load in (load_breast_cancer, load_digits, load_wine):
        x = load().data
        assert not measure_sentinels({"train": x})[0]
        assert not measure_sentinels({"train": (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)})[0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"ratio": 0.9}, False),
        ({"odds": 5.0}, False),
        ({"share": 0.7, "value": 7.0}, False),
        ({"copies": 1, "ratio": 50.0}, False),
        ({"copies": 1, "ratio": 150.0}, True),
        ({"exact": False, "share": 0.05}, False),
        ({"value": 0.0, "ratio": 3.0}, False),
        ({"value": -1.0, "low": 18.0, "high": 90.0, "ratio": 0.2, "odds": 0.0}, True),
        ({"value": -1.0, "low": 0.0, "high": 9.0, "ratio": 0.1, "odds": 0.0, "spacing": 1}, False),
    ],
)
def test_judging_numbers_alone(changes: dict, expected: bool):
    assert judge_far(far(**changes)) is expected


def test_the_finding_names_feature_rows_and_value():
    one = Sentinel("['x']", 0, "feature", 3, far(), {"val": np.array([2, 5])})
    finding = judge_sentinels([one], features=8, one_leaf=False)
    assert finding.verdict is Verdict.WARNED
    suspect = finding.suspects[0]
    assert (suspect.cause, suspect.component) == ("sentinel-value", "data")
    assert suspect.where == "val inputs['x'] feature 3"
    assert "-999" in suspect.why
    assert judge_sentinels([one], features=8, handled=True).verdict is Verdict.PASSED


def alarms(task: jr.Task) -> list[Finding]:
    return [f for f in check_sentinels(Context(task)) if f.verdict in programs.ALARMS]


class Masks(nn.Module):
    """Knows what -999 means; its twin does not."""

    knows: bool

    @nn.compact
    def __call__(self, x):
        x = jnp.where(x == -999.0, 0.0, x) if self.knows else x
        return nn.Dense(1)(nn.relu(nn.Dense(8)(x)))


@pytest.mark.parametrize("knows", [False, True], ids=["plain", "imputing"])
def test_a_network_that_treats_the_number_specially_is_silent(knows: bool):
    (x, y), val = programs.numbers(0)
    task = programs.regress(0, model=Masks(knows), data=((put(x, -999.0, 20, 5), y), val))
    assert [a.suspects[0].where for a in alarms(task)] == (
        [] if knows else ["train inputs feature 5"]
    )


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked-loss"])
def test_targets_that_the_loss_leaves_out_are_silent(masked: bool):
    (x, y), val = programs.numbers(0)

    def loss(outputs, targets):
        error = (outputs - targets) ** 2
        return jnp.where(targets == -999.0, 0.0, error)[:, 0] if masked else error[:, 0]

    task = programs.regress(0, loss=loss, data=((x, put(y, -999.0, 20, 0)), val))
    assert [a.suspects[0].component for a in alarms(task)] == ([] if masked else ["labels"])


def test_healthy_programs_pass():
    for name in ("classify", "regress", "tokens-padded", "dict-inputs", "poisson"):
        assert not alarms(programs.HEALTHY[name](0))
