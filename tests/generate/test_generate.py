"""A generator learns what the classes look like; its examples are a source like any other."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import jrecipe as jr
from jrecipe.data import as_source
from jrecipe.generate import GeneratedSource, fit_generator

MIDDLES = np.array([[2.0, 0.0], [-2.0, 1.0], [0.0, -2.0]])


def points(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns three rings, float32[n, 2], each a class."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % 3).astype(np.int32)
    angle = rng.uniform(0, 2 * np.pi, n)
    ring = 0.7 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = MIDDLES[labels] + ring + 0.05 * rng.normal(size=(n, 2))
    return x.astype(np.float32), labels


@pytest.fixture(scope="module")
def generator():
    return fit_generator(points(600, 0), 3, steps=1_500, width=64)


@pytest.mark.exhaustive
def test_what_it_makes_lies_where_the_class_does(generator):
    x, labels = GeneratedSource(generator, count=600).take(np.arange(600))
    np.testing.assert_array_equal(labels, np.arange(600) % 3)
    apart = np.linalg.norm(x[:, None] - MIDDLES[None], axis=-1)
    assert (apart.argmin(axis=1) == labels).mean() > 0.95
    assert abs(np.median(apart[np.arange(600), labels]) - 0.7) < 0.2  # not all in the middle
    for k in range(3):
        np.testing.assert_allclose(x[labels == k].mean(axis=0), MIDDLES[k], atol=0.15)
        spread = x[labels == k].std(axis=0)
        np.testing.assert_allclose(spread, 0.7 / np.sqrt(2), atol=0.1)


@pytest.mark.exhaustive
def test_a_row_is_a_function_of_seed_and_row(generator):
    source = GeneratedSource(generator, count=300, seed=4)
    together = source.take(np.array([7, 299, 0]))
    for i, row in enumerate((7, 299, 0)):
        np.testing.assert_allclose(source.take(np.array([row]))[0][0], together[0][i], atol=1e-5)
    other = GeneratedSource(generator, count=300, seed=5).take(np.array([7, 299, 0]))
    assert not np.allclose(other[0], together[0])
    many = source.take(np.arange(300))[0]  # more than one program's worth
    np.testing.assert_allclose(many[7], together[0][0], atol=1e-5)
    assert len(np.unique(many.round(5), axis=0)) == 300
    assert as_source(source) is source
    assert source.take(np.zeros(0, int))[0].shape == (0, 2)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_values_stay_in_the_range_of_the_data(generator):
    x, _ = points(600, 0)
    made, _ = GeneratedSource(generator).take(np.arange(200))
    assert made.min() >= x.min()
    assert made.max() <= x.max()


@pytest.mark.exhaustive
def test_a_seed_repeats():
    again = [fit_generator(points(60, 0), 3, steps=3, width=8, seed=1) for _ in range(2)]
    for a, b in zip(*(jax.tree.leaves(one.params) for one in again), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_digits_that_it_makes_are_read_as_such():
    from sklearn.linear_model import LogisticRegression

    digits = jr.data.load("digits")
    flow = fit_generator(digits.train, 10, steps=4_000)
    made, labels = GeneratedSource(flow).take(np.arange(500))
    x, y = digits.train.take(np.arange(len(digits.train)))
    reader = LogisticRegression(max_iter=2_000).fit(x.reshape(len(x), -1), y)
    assert (reader.predict(made.reshape(500, -1)) == labels).mean() > 0.9
    apart = np.linalg.norm(made.reshape(500, 1, -1) - x.reshape(1, len(x), -1), axis=-1)
    assert (apart.min(axis=1) > 0.5).mean() > 0.9  # and are no copies


@pytest.mark.parametrize(
    ("train", "more", "message"),
    [
        (points(9, 0), {"steps": 0}, "steps of at least 1, got 0"),
        ((np.ones((3, 2), int), [0, 1, 2]), {}, "inputs as one array float"),
        ((np.ones((3, 2)), [[0.5], [1], [2]]), {}, "class indices int"),
        ((np.ones((3, 2)), [0, 1, 3]), {}, r"targets in 0 .. 2, got 0 to 3; give classes=4"),
    ],
)
def test_arguments_that_do_not_fit(train, more, message):
    with pytest.raises(jr.TaskError, match=message):
        fit_generator(train, 3, **more)


@pytest.mark.slow
def test_count_of_at_least_one(generator):
    with pytest.raises(jr.TaskError, match="count of at least 1, got 0"):
        GeneratedSource(generator, count=0)
