import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jrecipe.data.order import batch_rows
from jrecipe.data.source import as_source
from jrecipe.data.stream import _END, _Reads, batches


class Slow:
    """Reads some batches slower than others, and records what it was asked for."""

    def __init__(self, n, bad=None):
        self.n, self.bad = n, bad
        self.started = 0
        self.lock = threading.Lock()

    def __len__(self):
        return self.n

    def take(self, rows):
        with self.lock:
            self.started += 1
        time.sleep(0.004 * (rows[0] % 3))
        if self.bad in rows:
            raise OSError(f"picture {self.bad} is damaged")
        return rows * 10.0, rows


def grain_threads():
    return [t for t in threading.enumerate() if t.name.startswith("grain-prefetch")]


@settings(deadline=None, max_examples=15)
@given(
    n=st.integers(1, 30),
    batch_size=st.integers(1, 8),
    count=st.integers(0, 12),
    threads=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_batches_come_in_the_order_of_their_rows(n, batch_size, count, threads, seed):
    rows = batch_rows(n, batch_size, seed, 0, count)
    got = list(batches(Slow(n), rows, threads=threads, ahead=threads + 2))
    assert len(got) == count
    for (inputs, targets), wanted in zip(got, rows, strict=True):
        np.testing.assert_array_equal(targets, wanted)
        np.testing.assert_array_equal(inputs, wanted * 10.0)


def test_rows_may_come_from_an_endless_iterator_and_are_read_ahead_only_so_far():
    source, drawn = Slow(100), itertools.count()
    rows = (np.array([i % 100]) for i in drawn)
    stream = batches(source, rows, threads=2, ahead=4)
    got = [int(targets[0]) for _, targets in itertools.islice(stream, 10)]
    time.sleep(0.1)
    assert got == list(range(10))
    assert source.started <= 10 + 5
    assert next(drawn) <= 10 + 6
    stream.close()


def test_closing_ends_the_threads():
    stream = batches(Slow(9), ([i % 9] for i in itertools.count()))
    next(stream)
    assert grain_threads()
    stream.close()
    for _ in range(100):
        if not grain_threads():
            break
        time.sleep(0.02)
    assert not grain_threads()


def test_an_error_comes_when_its_turn_comes_and_names_its_rows():
    source = Slow(50, bad=23)
    stream = batches(source, np.arange(50).reshape(25, 2))
    got = []
    with pytest.raises(OSError, match="picture 23 is damaged") as caught:
        got.extend(int(targets[0]) for _, targets in stream)
    assert got == list(range(0, 22, 2))
    assert any("rows 22, 23" in note for note in caught.value.__notes__)
    assert list(stream) == []


def test_errors_of_the_rows_are_not_lost():
    def rows():
        for i in range(7):
            time.sleep(0.002)
            yield np.array([i])
        raise RuntimeError("no more rows")

    for _ in range(10):
        got = []
        stream = batches(Slow(50), rows(), threads=4, ahead=8)
        with pytest.raises(RuntimeError, match="no more rows"):
            got.extend(int(targets[0]) for _, targets in stream)
        assert got == list(range(7))


def test_a_thread_that_comes_early_keeps_the_error_for_the_one_whose_turn_it_is():
    def rows():
        raise RuntimeError("no rows at all")
        yield

    reads = _Reads(Slow(5), rows())
    assert reads[1] is _END
    with pytest.raises(RuntimeError, match="no rows at all"):
        reads[0]


def test_pytrees_are_streamed():
    source = as_source(({"a": np.arange(4), "b": np.ones((4, 2))}, np.arange(4)))
    ((inputs, targets),) = batches(source, [[3, 1]])
    assert inputs["a"].tolist() == targets.tolist() == [3, 1]


def test_bad_numbers_of_threads_are_refused_at_once():
    with pytest.raises(ValueError, match="threads"):
        batches(Slow(3), [], threads=0)
    with pytest.raises(ValueError, match="ahead"):
        batches(Slow(3), [], threads=4, ahead=2)
