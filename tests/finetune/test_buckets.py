"""Few lengths, of which each text gets the least that holds it."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from jrecipe.finetune.buckets import bucket_lengths, bucket_sizes
from jrecipe.finetune.ragged import Ragged
from jrecipe.types import TaskError


def test_the_sizes_are_those_of_the_contract():
    assert bucket_sizes(512) == (8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    assert bucket_sizes(1600)[-5:] == (512, 768, 1024, 1536, 1600)
    assert bucket_sizes(5) == (5,)
    assert bucket_sizes(512, few=True) == (16, 32, 64, 96, 128, 192, 256, 384, 512)
    assert bucket_sizes(40, few=True) == (16, 32, 40)
    with pytest.raises(TaskError, match="longest >= 1"):
        bucket_sizes(0)


@given(st.data(), st.integers(1, 2000), st.booleans())
def test_a_bucket_is_the_least_size_that_holds_the_text(data, longest, few):
    lengths = data.draw(st.lists(st.integers(0, longest), max_size=20))
    sizes = bucket_sizes(longest, few=few)
    assert sizes[-1] == longest
    assert list(sizes) == sorted(set(sizes))
    got = bucket_lengths(lengths, longest, few=few)
    assert got.dtype == np.int32
    assert got.tolist() == [min(size for size in sizes if size >= n) for n in lengths]


def test_a_text_above_the_largest_size_is_refused():
    with pytest.raises(TaskError, match="reach 9 tokens, above longest=8"):
        bucket_lengths([3, 9], 8)


@given(st.lists(st.lists(st.integers(-5, 5), max_size=5), min_size=1, max_size=6), st.data())
def test_ragged_rows_are_padded_behind_their_ends(rows, data):
    ragged = Ragged.of(rows, np.int32)
    assert [ragged[i].tolist() for i in range(len(ragged))] == rows
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=5))
    width = max(map(len, rows)) + data.draw(st.integers(0, 2))
    got = ragged.padded(np.array(picked, np.int64), width, fill=9)
    assert got.shape == (len(picked), width)
    assert got.tolist() == [rows[i] + [9] * (width - len(rows[i])) for i in picked]


def test_ragged_rows_hold_pairs():
    ragged = Ragged.of([[(1, 2)], []], np.int32, (2,))
    assert ragged.padded(np.array([1, 0]), 2, -1).tolist() == [
        [[-1, -1], [-1, -1]],
        [[1, 2], [-1, -1]],
    ]
