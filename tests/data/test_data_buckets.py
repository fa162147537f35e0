"""Batches by length: every row once an epoch, few lengths, and no replay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.data import batch_rows, buckets_of, evaluation_rows, padded_rows, training_rows
from jrecipe.data.buckets import source_evaluation_rows, source_training_rows

CHOICES = np.array([8, 16, 32, 64], np.int32)


def drawn(n: int, seed: int = 0) -> np.ndarray:
    return generator(seed).choice(CHOICES, n)


@given(n=st.integers(1, 60), size=st.integers(1, 24), seed=seeds)
@example(n=1, size=3, seed=0)
@example(n=24, size=24, seed=0)
@example(n=23, size=24, seed=0)
def test_every_row_comes_once_in_every_epoch(n, size, seed):
    stream = training_rows(drawn(n), size, seed, 0, -(-3 * n // size)).reshape(-1)
    for epoch in range(3):
        rows = stream[epoch * n : (epoch + 1) * n]
        np.testing.assert_array_equal(np.sort(rows), np.arange(n))


@given(n=st.integers(1, 60), size=st.integers(1, 24), step=st.integers(0, 40))
def test_batches_are_a_function_of_the_step_alone(n, size, step):
    whole = training_rows(drawn(n), size, 5, 0, step + 3)
    assert whole.shape == (step + 3, size)
    assert whole.dtype == np.int32
    np.testing.assert_array_equal(training_rows(drawn(n), size, 5, step, 3), whole[step:])


def test_batches_hold_one_bucket_but_for_the_ends_of_buckets_and_epochs():
    lengths = drawn(1000)
    batches = lengths[training_rows(lengths, 16, 0, 0, 62 * 4)]
    mixed = (batches.min(1) != batches.max(1)).mean()
    assert mixed < 0.1
    assert set(batches.max(1)) <= set(CHOICES)
    waste = (batches.max(1)[:, None] - batches).sum() / batches.sum()
    by_chance = lengths[batch_rows(1000, 16, 0, 0, 62 * 4)]
    assert waste < 0.05 < (by_chance.max(1)[:, None] - by_chance).sum() / by_chance.sum()


def test_epochs_and_seeds_differ_in_the_rows_of_a_batch_and_in_the_order_of_lengths():
    lengths = drawn(64)
    one, other = training_rows(lengths, 8, 0, 0, 16).reshape(2, 8, 8)
    assert not np.array_equal(one, other)
    assert not np.array_equal(lengths[one].max(1), lengths[other].max(1))
    assert not np.array_equal(one, training_rows(lengths, 8, 1, 0, 8))
    assert {tuple(sorted(b)) for b in one.tolist()} != {tuple(sorted(b)) for b in other.tolist()}


@given(n=st.integers(1, 60), size=st.integers(1, 24))
def test_evaluation_covers_every_row_once_from_short_to_long(n, size):
    lengths = drawn(n)
    rows, weights = evaluation_rows(lengths, size)
    assert rows.shape == weights.shape == (-(-n // size), size)
    np.testing.assert_array_equal(np.sort(rows[weights > 0]), np.arange(n))
    assert (np.diff(lengths[rows].reshape(-1)) >= 0).all()
    assert (rows.dtype, weights.dtype) == (np.int32, np.float32)


class Longs:
    def __init__(self, buckets=None):
        if buckets is not None:
            self.buckets = buckets

    def __len__(self):
        return 5

    def take(self, rows):
        return np.zeros((len(rows), 2), np.float32), np.zeros(len(rows), np.int32)


def test_a_source_without_buckets_keeps_the_order_it_had():
    np.testing.assert_array_equal(
        source_training_rows(Longs(), 2, 3, 4, 5), batch_rows(5, 2, 3, 4, 5)
    )
    for got, want in zip(source_evaluation_rows(Longs(), 2), padded_rows(5, 2), strict=True):
        np.testing.assert_array_equal(got, want)
    assert buckets_of(Longs()) is None


@pytest.mark.parametrize(
    "buckets", [np.ones(4, np.int32), np.ones(5), np.zeros(5, np.int32), np.ones((5, 1), np.int32)]
)
def test_buckets_that_are_no_lengths_are_refused(buckets):
    with pytest.raises(jr.TaskError, match=r"buckets need a length >= 1 for each of 5 rows"):
        jr.data.as_source(Longs(buckets))
    assert buckets_of(jr.data.as_source(Longs(np.full(5, 8)))).tolist() == [8] * 5


def real_lengths(buckets, seed=0):
    """Returns lengths of rows that are padded to these buckets."""
    return generator(seed + 1).integers(buckets // 2 + 1, buckets + 1)


@given(n=st.integers(1, 60), size=st.integers(1, 24), seed=seeds)
def test_balanced_batches_have_every_row_once_in_every_epoch(n, size, seed):
    buckets = drawn(n, seed)
    count = -(-3 * n // size)
    rows = training_rows(buckets, size, seed, 0, count, real_lengths(buckets, seed))
    for epoch in range(3):
        part = rows.reshape(-1)[epoch * n : (epoch + 1) * n]
        np.testing.assert_array_equal(np.sort(part), np.arange(n))


def test_batches_of_a_bucket_hold_about_equally_much_only_if_lengths_are_known():
    buckets = drawn(4000)
    lengths = real_lengths(buckets)

    def spread(lengths_or_none):
        """Returns by how many tokens a row a batch of a bucket is above the mean, at most."""
        rows = training_rows(buckets, 32, 0, 0, 375, lengths_or_none)
        whole = buckets[rows].min(1) == buckets[rows].max(1)
        assert whole.mean() > 0.95
        mean = {bucket: lengths[buckets == bucket].mean() for bucket in CHOICES}
        wanted = np.array([mean[bucket] for bucket in buckets[rows[whole]][:, 0]])
        return (lengths[rows[whole]].mean(1) - wanted).max()

    assert spread(lengths) < 0.25 < 2 < spread(None)


def test_balanced_batches_differ_between_epochs_and_mix_rows():
    buckets = np.full(64, 64)
    lengths = real_lengths(buckets)
    one, other = training_rows(buckets, 8, 0, 0, 16, lengths).reshape(2, 8, 8)
    assert {tuple(sorted(b)) for b in one.tolist()}.isdisjoint(
        tuple(sorted(b)) for b in other.tolist()
    )


@pytest.mark.parametrize("lengths", [np.ones(4, int), np.ones(5), np.full(5, 9), np.full(5, -1)])
def test_lengths_that_do_not_fit_the_buckets_are_refused(lengths):
    source = Longs(np.full(5, 8))
    source.lengths = lengths
    with pytest.raises(jr.TaskError, match=r"source.lengths needs the length of each of 5 rows"):
        source_training_rows(source, 2, 0, 0)


@pytest.mark.parametrize("n", [1003, 1010, 1021])
def test_the_batch_between_two_epochs_holds_as_much_as_others(n):
    buckets = np.full(n, 64)
    lengths = generator(n).integers(1, 65, n)
    rows = training_rows(buckets, 32, 0, 0, 12 * n // 32, lengths)
    assert np.abs(lengths[rows].mean(1) - lengths.mean()).max() < 3
