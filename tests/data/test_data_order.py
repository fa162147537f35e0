import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.data.order import batch_rows, epoch_order, padded_rows
from jrecipe.types import TaskError

sizes = st.integers(1, 50)
seeds = st.integers(-(2**70), 2**70)
fast = settings(deadline=None, max_examples=60)


@fast
@given(n=sizes, batch_size=st.integers(1, 70), seed=seeds, epochs=st.integers(1, 4))
def test_every_example_occurs_once_per_epoch_and_every_batch_is_full(n, batch_size, seed, epochs):
    count = -(-n * epochs // batch_size)
    rows = batch_rows(n, batch_size, seed, 0, count)
    assert rows.shape == (count, batch_size)
    assert rows.dtype == np.int32
    stream = rows.ravel()[: n * epochs].reshape(epochs, n)
    np.testing.assert_array_equal(np.sort(stream, axis=1), np.tile(np.arange(n), (epochs, 1)))


@fast
@given(
    n=sizes,
    batch_size=st.integers(1, 70),
    seed=seeds,
    step=st.integers(0, 10**12),
    count=st.integers(1, 6),
    shuffle=st.booleans(),
)
def test_any_step_can_be_computed_alone(n, batch_size, seed, step, count, shuffle):
    together = batch_rows(n, batch_size, seed, step, count, shuffle)
    alone = [batch_rows(n, batch_size, seed, step + i, 1, shuffle)[0] for i in range(count)]
    np.testing.assert_array_equal(together, np.stack(alone))


@fast
@given(n=sizes, seed=seeds, epoch=st.integers(0, 2**40))
def test_an_epoch_is_a_reproducible_permutation(n, seed, epoch):
    order = epoch_order(n, seed, epoch)
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    np.testing.assert_array_equal(order, epoch_order(n, seed + 2**64, epoch))


def test_seed_and_epoch_both_matter():
    orders = [tuple(epoch_order(100, seed, epoch)) for seed in range(5) for epoch in range(5)]
    assert len(set(orders)) == 25


def test_the_order_is_the_same_on_every_machine_and_release():
    # A run that is resumed elsewhere must go on with the same examples.
    assert epoch_order(8, seed=0, epoch=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert epoch_order(8, seed=1, epoch=2).tolist() == [4, 2, 0, 6, 1, 5, 7, 3]


def test_positions_are_uniform():
    places = np.array([np.argmax(epoch_order(10, seed, 3) == 0) for seed in range(2000)])
    counts = np.bincount(places, minlength=10)
    assert np.sum((counts - 200) ** 2 / 200) < 30  # chi square with 9 degrees: p about 4e-4


def test_a_cached_order_cannot_be_spoiled():
    with pytest.raises(ValueError, match="read-only"):
        epoch_order(5, 0, 0)[0] = 3
    rows = batch_rows(5, 5, 0, 0)
    rows[:] = 9
    np.testing.assert_array_equal(np.sort(batch_rows(5, 5, 0, 0)[0]), np.arange(5))


@fast
@given(n=sizes, batch_size=st.integers(1, 70), seed=st.integers(0, 2**32))
def test_padded_means_are_exact(n, batch_size, seed):
    values = np.random.default_rng(seed).normal(size=n)
    rows, weights = padded_rows(n, batch_size)
    assert rows.shape == weights.shape == (-(-n // batch_size), batch_size)
    assert (rows.dtype, weights.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(rows[weights > 0], np.arange(n))
    assert rows.max() < n
    mean = np.sum(values[rows] * weights) / np.sum(weights)
    np.testing.assert_allclose(mean, values.mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: batch_rows(0, 1, 0, 0),
        lambda: batch_rows(3, 0, 0, 0),
        lambda: batch_rows(3, 1, 0, -1),
        lambda: batch_rows(3, 1, 0, 0, -1),
        lambda: epoch_order(0, 0, 0),
        lambda: epoch_order(3, 0, -1),
        lambda: padded_rows(0, 1),
        lambda: padded_rows(1, 0),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(TaskError, match="needs"):
        call()
