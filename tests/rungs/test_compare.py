"""A difference is called only where it is larger than the noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.rungs import Scores, compare


def scores(val: np.ndarray, weights: np.ndarray | None = None) -> Scores:
    k, n = val.shape
    return Scores(
        seeds=tuple(range(k)),
        steps=1,
        val=val,
        weights=np.ones(n) if weights is None else weights,
        train=np.ones(k),
        val_loss=np.ones(k),
        train_loss=np.ones(k),
        seconds=1.0,
    )


def drawn(rng: np.random.Generator, gain: float, k: int = 3, n: int = 400) -> tuple[Scores, Scores]:
    """Two rungs that share hard examples, with noise of seeds and of examples."""
    hard = rng.normal(size=n)
    one, other = (
        hard + 0.02 * rng.normal(size=(k, 1)) + 0.3 * rng.normal(size=(k, n)) for _ in "ab"
    )
    return scores(one), scores(other + gain)


@given(seed=seeds)
def test_a_large_gain_is_kept_and_a_large_loss_dropped(seed):
    rng = generator(seed)
    assert compare(*drawn(rng, 0.5)).verdict == "keeps"
    assert compare(*drawn(rng, -0.5)).verdict == "drops"


def test_no_gain_is_called_one_at_most_as_often_as_said():
    rng = np.random.default_rng(0)
    called = [compare(*drawn(rng, 0.0, n=50)).verdict != "undecided" for _ in range(400)]
    assert np.mean(called) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_the_interval_holds_the_gain_and_narrows_with_seeds():
    rng = np.random.default_rng(0)
    inside, few, many = [], [], []
    for _ in range(200):
        found = compare(*drawn(rng, 0.1, n=50))
        inside.append(found.low <= 0.1 <= found.high)
        few.append(found.high - found.low)
        more = compare(*drawn(rng, 0.1, k=12, n=50))
        many.append(more.high - more.low)
    assert np.mean(inside) >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / 200)
    assert np.mean(many) < 0.7 * np.mean(few)


@given(seed=seeds, shift=st.floats(-5, 5))
def test_what_both_rungs_share_cancels(seed, shift):
    below, rung = drawn(generator(seed), 0.1)
    moved = np.linspace(-shift, shift, below.val.shape[1])
    got = compare(scores(below.val + moved), scores(rung.val + moved))
    want = compare(below, rung)
    np.testing.assert_allclose([got.gain, got.low], [want.gain, want.low], atol=1e-9)


def test_where_seeds_agree_the_examples_make_the_interval():
    gains = np.random.default_rng(0).normal(size=200)
    found = compare(scores(np.zeros((3, 200))), scores(np.stack([gains] * 3)))
    error = gains.std(ddof=1) / math.sqrt(200)
    want = gains.mean() + stats.t.ppf(0.975, 199) * error * np.array([-1, 1])
    np.testing.assert_allclose([found.low, found.high], want)


def test_where_examples_agree_the_seeds_make_the_interval():
    gains = np.array([0.1, 0.3, 0.2, 0.5])
    found = compare(scores(np.zeros((4, 50))), scores(np.stack([gains] * 50, axis=1)))
    error = gains.std(ddof=1) / math.sqrt(4)
    want = gains.mean() + stats.t.ppf(0.975, 3) * error * np.array([-1, 1])
    np.testing.assert_allclose([found.low, found.high], want)


def test_padding_counts_for_nothing():
    below, rung = drawn(np.random.default_rng(0), 0.1)
    more = lambda one: scores(  # noqa: E731
        np.concatenate([one.val, np.full((3, 9), 1e3)], axis=1), np.r_[np.ones(400), np.zeros(9)]
    )
    want, got = compare(below, rung), compare(more(below), more(rung))
    np.testing.assert_allclose([got.gain, got.low], [want.gain, want.low])


def test_one_seed_decides_nothing_and_a_run_that_blew_up_is_dropped():
    below, rung = drawn(np.random.default_rng(0), 0.5, k=1)
    assert compare(below, rung).verdict == "undecided"
    below, rung = drawn(np.random.default_rng(0), 0.5)
    assert compare(below, scores(rung.val * math.nan)).verdict == "drops"
    assert compare(scores(below.val * math.nan), rung).verdict == "undecided"


def test_equal_runs_differ_by_nothing():
    below, _ = drawn(np.random.default_rng(0), 0.0)
    assert compare(below, below) == jr.rungs.Difference(0.0, 0.0, 0.0, "undecided")


def test_other_examples_are_refused():
    below, rung = drawn(np.random.default_rng(0), 0.5)
    with pytest.raises(jr.TaskError, match=r"\(3, 399\)"):
        compare(below, scores(rung.val[:, 1:]))
