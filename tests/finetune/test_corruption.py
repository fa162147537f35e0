"""Span corruption: what is cut out can be put back, in the shares and shapes that are promised."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.data.source import as_source
from jrecipe.finetune.corruption import (
    SpanCorruption,
    corrupt,
    draw_spans,
    restore,
    span_counts,
)
from jrecipe.types import TaskError

SENTINELS = tuple(range(999, 899, -1))
lengths = st.integers(2, 90)
rates = st.floats(0.01, 0.99)
means = st.floats(1.0, 8.0)
seeds = st.integers(-5, 2**64)


def runs_of(gone):
    """Returns the lengths of the runs of True."""
    borders = np.flatnonzero(np.diff(np.concatenate([[0], gone.astype(int), [0]])))
    return np.diff(borders)[::2]


@given(length=lengths, rate=rates, mean=means, seed=seeds, index=st.integers(0, 2**40))
def test_spans_are_as_many_and_as_long_as_counted(length, rate, mean, seed, index):
    cut, spans = span_counts(length, rate, mean)
    gone = draw_spans(length, cut, spans, seed, index)
    assert (gone.shape, gone.dtype) == ((length,), bool)
    assert gone.sum() == cut
    assert len(runs_of(gone)) == spans
    assert 1 <= cut < length
    assert abs(cut - rate * length) <= 1
    assert spans <= max(1, cut / mean + 0.5)


@given(length=lengths, rate=rates, mean=means, seed=seeds)
def test_inputs_and_targets_restore_the_text(length, rate, mean, seed):
    tokens = np.random.default_rng(seed % 2**32).integers(2, 50, length)
    gone = draw_spans(length, *span_counts(length, rate, mean), seed, 0)
    read, written = corrupt(tokens, gone, SENTINELS)
    assert restore(read, written, SENTINELS) == tokens.tolist()
    assert read[-1] == written[-1] == 1
    spans = len(runs_of(gone))
    marks = [t for t in read if t in SENTINELS]
    assert marks == list(SENTINELS[:spans])
    assert [t for t in written if t in SENTINELS] == list(SENTINELS[: spans + 1])
    assert len(read) == length - gone.sum() + spans + 1
    assert len(written) == gone.sum() + spans + 2
    # The test sees it if one token differs.
    wrong = written.copy()
    wrong[1] += 1
    assert restore(read, wrong, SENTINELS) != tokens.tolist()


def test_the_usual_rates_are_those_of_the_paper():
    assert span_counts(512) == (77, 26)
    every = np.stack([draw_spans(64, *span_counts(64), 0, i) for i in range(2_000)])
    assert abs(every.mean() - 0.15) < 0.01
    mean = np.concatenate([runs_of(gone) for gone in every]).mean()
    assert abs(mean - 10 / 3) < 0.01
    share = every.mean(axis=0)  # of each place: the ends are cut out too, though less often
    assert share.min() > 0.04
    assert share.max() < 0.25


def test_draws_are_a_function_of_seed_and_row():
    draw = lambda seed, index: draw_spans(64, 10, 3, seed, index).tolist()  # noqa: E731
    assert draw(0, 5) == draw(0, 5) == draw(2**64, 5)
    assert draw(0, 5) != draw(0, 6)
    assert draw(0, 5) != draw(1, 5)


def rows_of(count=6, length=40, last=17):
    rows = np.random.default_rng(0).integers(2, 800, (count, length)).astype(np.int32)
    rows[-1, last:] = 0
    return rows


@given(rate=rates, mean=means, seed=seeds, last=st.integers(2, 40))
def test_the_source_has_static_shapes_and_loses_nothing(rate, mean, seed, last):
    rows = rows_of(last=last)
    source = SpanCorruption(rows, SENTINELS, seed=seed, rate=rate, mean_length=mean, draws=2)
    assert as_source(source) is source
    assert len(source) == 12
    inputs, targets = source.take(np.arange(12))
    one_inputs, one_targets = source.take(np.array([11]))
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[11:], y), inputs, one_inputs)
    np.testing.assert_array_equal(targets[11:], one_targets)
    np.testing.assert_array_equal(inputs["mask"], inputs["ids"] != 0)
    assert not inputs["decoder_ids"][:, 0].any()
    np.testing.assert_array_equal(inputs["decoder_ids"][:, 1:], targets[:, :-1])
    for i in range(12):
        read, written = (x[x != 0] for x in (inputs["ids"][i], targets[i]))
        want = rows[i % 6]
        assert restore(read, written, SENTINELS) == want[want != 0].tolist()


def test_each_draw_of_a_row_differs():
    source = SpanCorruption(rows_of(), SENTINELS, draws=2)
    _, targets = source.take(np.array([0, 6, 0]))
    assert (targets[0] != targets[1]).any()
    np.testing.assert_array_equal(targets[0], targets[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": np.zeros(3, np.int32)}, "int\\[n, length\\]"),
        ({"rows": np.zeros((2, 3))}, "float64"),
        ({"rows": np.array([[5, 0, 0]])}, "two tokens"),
        ({"rate": 1.0}, "rate in \\(0, 1\\)"),
        ({"mean_length": 0.5}, "0.5"),
        ({"draws": 0}, "draws >= 1"),
        ({"sentinels": (9, 8)}, "3 sentinels for rows of 40 tokens, got 2"),
    ],
)
def test_arguments_of_no_use_are_refused(changes, message):
    with pytest.raises(TaskError, match=message):
        SpanCorruption(**{"rows": rows_of(), "sentinels": SENTINELS} | changes)


def test_too_few_sentinels_are_an_error():
    with pytest.raises(TaskError, match="2 sentinels for 1 spans, got 1"):
        corrupt(np.array([5, 6, 7]), np.array([False, True, False]), (9,))
