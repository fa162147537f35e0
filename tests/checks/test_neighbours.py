"""Examples as points: alike for every split, whatever the inputs are."""

from __future__ import annotations

import numpy as np
import pytest
import skeleton_programs as programs
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.checks.context import Context
from jrecipe.checks.neighbours import (
    classes_of,
    embedded,
    maker_of,
    nearest,
    points_of,
    projection,
)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_nearest_agrees_with_all_distances(seed):
    rng = np.random.default_rng(seed)
    points, queries = rng.normal(size=(40, 5)), rng.normal(size=(7, 5))
    which, distance = nearest(queries, points, 4)
    every = np.linalg.norm(queries[:, None] - points[None], axis=2)
    np.testing.assert_array_equal(which, np.argsort(every, axis=1)[:, :4])
    np.testing.assert_allclose(distance, np.sort(every, axis=1)[:, :4], rtol=1e-5)


def test_a_row_is_no_neighbour_of_itself():
    points = np.arange(6.0)[:, None]
    which, distance = nearest(points, points, 2, same=True)
    assert (which != np.arange(6)[:, None]).all()
    np.testing.assert_allclose(distance[:, 0], 1.0)


def test_fewer_points_than_neighbours_are_all_of_them():
    which, _ = nearest(np.zeros((3, 2)), np.zeros((3, 2)), 10, same=True)
    assert which.shape == (3, 2)


def test_units_do_not_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    scaled = x * np.float32([1e-3, 1.0, 1e5]) + np.float32([0, 7, -3])
    np.testing.assert_allclose(maker_of(x)(x), maker_of(scaled)(scaled), atol=2e-3)


def test_nan_and_infinity_become_numbers():
    x = np.float32([[1, np.nan], [2, np.inf], [3, 0], [4, 1], [5, 2]])
    assert np.isfinite(maker_of(x)(x)).all()


def test_order_of_tokens_is_no_distance_between_their_numbers():
    ids = np.random.default_rng(1).integers(1, 40, (60, 12)).astype(np.int32)
    make = maker_of(ids)
    same = make(ids[:1][:, ::-1])
    np.testing.assert_allclose(same, make(ids[:1]))
    assert np.linalg.norm(make(ids[:1] + 1) - make(ids[:1])) > 0.5


def test_projection_keeps_what_varies():
    rng = np.random.default_rng(2)
    low = rng.normal(size=(80, 3)).astype(np.float32)
    wide = low @ rng.normal(size=(3, 200)).astype(np.float32)
    small = projection(wide, 0, 8)(wide)
    assert small.shape == (80, 8)
    full = np.linalg.norm(wide - wide[0], axis=1)
    np.testing.assert_allclose(np.linalg.norm(small - small[0], axis=1), full, rtol=1e-3)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (np.int32([0, 2, 1] * 3), [0, 2, 1] * 3),
        (np.int32([[0], [1], [1], [0]]), [0, 1, 1, 0]),
        (np.float32([0, 1, 1, 0]), [0, 1, 1, 0]),
        (np.eye(3, dtype=np.float32)[[2, 0, 1, 1]], [2, 0, 1, 1]),
        (np.float32([0.1, 0.2, 0.3, 0.4]), None),
        (np.zeros((4, 5), np.int32), None),
    ],
    ids=["classes", "column", "binary-floats", "one-hot", "numbers", "tokens"],
)
def test_classes_are_recognised(targets, expected):
    found = classes_of(targets)
    assert (found is None) == (expected is None)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.thin(2)
@pytest.mark.parametrize("kind", ["classes", "numbers", "tokens"])
def test_embedded_targets_have_product_one_with_themselves_and_zero_with_others(kind):
    rng = np.random.default_rng(3)
    targets = {
        "classes": rng.integers(0, 5, 600).astype(np.int32),
        "numbers": rng.normal(3, 9, (600, 1)).astype(np.float32),
        "tokens": rng.integers(0, 9, (600, 4)).astype(np.int32),
    }[kind]
    (z,) = embedded([targets])
    assert abs((z**2).sum(axis=1).mean() - 1) < 0.1
    assert abs((z @ z.T).mean()) < 0.02


def test_points_of_a_task_know_their_rows_and_leave_its_arrays_alone():
    task = programs.classify(0)
    before = task.train.take(np.arange(320))[0].copy()
    points = points_of(Context(task))
    assert list(points) == ["train", "val"]
    assert points["train"].values.shape == (320, 64)
    np.testing.assert_array_equal(points["val"].rows, np.arange(160))
    np.testing.assert_array_equal(task.train.take(np.arange(320))[0], before)
