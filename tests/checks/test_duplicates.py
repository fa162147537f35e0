"""A1: duplicates and leakage, told from tables that repeat by nature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import check, digits, first_cause, task

import jrecipe as jr
from jrecipe.checks.duplicates import (
    check_duplicates,
    common_dtypes,
    covered_space,
    has_twin,
    judge_leakage,
    repeats_by_nature,
    row_hashes,
    shared_rows,
)
from jrecipe.checks.result import Verdict
from jrecipe.figures import Table


@given(seed=st.integers(0, 999), width=st.integers(1, 3))
def test_hashes_agree_exactly_where_rows_do(seed, width):
    rng = np.random.default_rng(seed)
    x = rng.integers(-1, 2, (40, width)).astype(np.float32)
    x = x * rng.choice(np.array([1, -1], np.float32), x.shape)  # 0.0 and -0.0
    y = rng.integers(0, 2, 40)
    equal = (x[:, None] == x[None]).all(axis=-1)
    hashes = row_hashes(x)
    assert np.array_equal(hashes[:, None] == hashes[None], equal)
    both = row_hashes({"x": x, "y": y})
    assert np.array_equal(both[:, None] == both[None], equal & (y[:, None] == y[None]))
    assert np.array_equal(has_twin(hashes), equal.sum(axis=1) > 1)


def test_rows_are_joined_across_dtypes():
    bytes_, floats = np.arange(12, dtype=np.uint8).reshape(6, 2), np.arange(12.0).reshape(6, 2)
    dtypes = common_dtypes(bytes_, floats)
    rows, train = shared_rows(row_hashes(floats[::-1], dtypes), row_hashes(bytes_, dtypes))
    assert (rows.tolist(), train.tolist()) == ([0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0])


def test_what_repeats_by_nature():
    rng = np.random.default_rng(0)
    assert repeats_by_nature(rng.integers(0, 2, (500, 8)))
    assert not repeats_by_nature(digits()[0])
    assert not repeats_by_nature(rng.normal(size=(50, 1)))
    assert covered_space(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), 4) == pytest.approx(1.0)
    assert covered_space(digits()[0], 1797) == 0.0


@given(rows=st.integers(50, 5000), chance=st.floats(0, 0.9), seed=st.integers(0, 99))
def test_what_chance_explains_is_no_leak(rows, chance, seed):
    shared = np.random.default_rng(seed).binomial(rows, chance)
    numbers = {"split": "val", "rows": rows, "train_rows": 10 * rows, "chance": chance}
    assert judge_leakage(**numbers, shared=int(shared), natural=True)[0] is Verdict.PASSED
    leaked = int(shared) + rows // 3
    if rows >= 300 and leaked <= rows:
        assert judge_leakage(**numbers, shared=leaked, natural=True)[0] is Verdict.FAILED


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_two_rows_are_no_leak_however_unlikely(shared):
    numbers = {"split": "val", "rows": 40, "train_rows": 10_000, "chance": 0.0}
    verdict, _ = judge_leakage(**numbers, shared=shared, natural=False)
    assert verdict is Verdict.PASSED


def bits(rows: int, seed: int, columns: int = 8) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(seed).integers(0, 2, (rows, columns)).astype(np.float32)
    return x, x[:, 0].astype(np.int32)


def leaky(count: int) -> jr.Task:
    x, y = digits()
    return task(train=(x[:400], y[:400]), val=(x[400 - count : 600], y[400 - count : 600]))


@pytest.mark.parametrize("count", [8, 60, 400])
def test_validation_rows_in_train_are_named(count):
    finding = check(check_duplicates, leaky(count))[0]
    assert finding.verdict is Verdict.FAILED
    assert finding.suspects[0].cause == "split-leakage"
    assert finding.suspects[0].component == "split"
    assert finding.suspects[0].where.startswith(
        f"val rows 0, 1, 2, 3, 4, ... = train rows {400 - count}"
    )
    assert finding.evidence["val_rows_in_train"] == count
    assert isinstance(finding.figures[0], Table)


def test_a_single_shared_row_is_an_accident():
    assert check(check_duplicates, leaky(1))[0].verdict is Verdict.PASSED


@pytest.mark.parametrize("rows", [120, 700])
def test_repeating_tables_are_silent(rows):
    findings = check(check_duplicates, task(train=bits(rows, 0), val=bits(200, 1)))
    assert findings[0].verdict is Verdict.PASSED
    assert findings[0].evidence["val_rows_in_train"] > 50


def test_all_of_xor_is_no_leak():
    xor = (np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32), np.array([0, 1, 1, 0]))
    every = (
        np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float32),
        np.arange(256) % 2,
    )
    for data in (xor, every):
        assert (
            check(check_duplicates, task(train=data, val=data, batch_size=4))[0].verdict
            is Verdict.PASSED
        )


def test_copies_in_train_are_named_with_their_rows():
    x, y = digits()
    rows = np.tile(np.arange(60), 7)
    findings = check(check_duplicates, task(train=(x[rows], y[rows]), val=(x[100:300], y[100:300])))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "duplicated-rows")
    assert findings[0].evidence["train_unique_share"] == pytest.approx(1 / 7)
    few = np.concatenate([np.arange(300), np.arange(60)])  # some oversampling
    findings = check(check_duplicates, task(train=(x[few], y[few]), val=(x[400:], y[400:])))
    assert findings[0].verdict is Verdict.PASSED


@pytest.mark.parametrize("first", ["copied", "split"])
def test_rows_that_were_copied_before_the_split_leak(first):
    x, y = digits()
    rows = np.arange(500)
    if first == "copied":
        rare = np.flatnonzero(y[:500] < 2)
        rows = np.random.default_rng(0).permutation(np.concatenate([rows, rare]))
    cut = len(rows) - 120
    sides = {"train": rows[:cut], "val": rows[cut:]}
    subject = task(**{name: (x[part], y[part]) for name, part in sides.items()})
    findings = check(check_duplicates, subject)
    assert (first_cause(findings) == "split-leakage") is (first == "copied")


@pytest.mark.parametrize("kind", ["balanced", "all alike"])
def test_rare_classes_may_be_repeated(kind):
    x, y = digits()
    zeros, others = np.flatnonzero(y[:400] == 0)[:4], np.flatnonzero(y[:400] != 0)
    extra = zeros if kind == "balanced" else others
    rows = np.concatenate([np.arange(400), np.resize(extra, 150)])
    findings = check(check_duplicates, task(train=(x[rows], y[rows]), val=(x[400:], y[400:])))
    assert (findings[0].verdict is Verdict.PASSED) is (kind == "balanced")
    assert (first_cause(findings) == "duplicated-rows") is (kind == "all alike")


def test_splits_of_other_shapes_are_left_to_a2():
    x, y = digits()
    findings = check(check_duplicates, task(val=(x[:50, :32], y[:50])))
    assert findings[0].verdict is Verdict.SKIPPED
