"""Looks come about every two seconds, whatever an update takes."""

from __future__ import annotations

import itertools

import pytest

from jrecipe.train.pace import SECONDS, STEADY, Pace


def lengths(pace: Pace, seconds_per_update: float, chunks: int = 8) -> list[int]:
    """Returns the chunks that a run makes, whose first one takes ten seconds more to compile."""
    made = []
    for i in range(chunks):
        made.append(pace.count)
        pace.took(pace.count, pace.count * seconds_per_update + (10 if i == 0 else 0))
    return made


@pytest.mark.parametrize(
    ("seconds_per_update", "last"), [(1e-5, 1_000), (0.01, 200), (0.5, 4), (5.0, 1)]
)
def test_chunks_come_to_take_two_seconds(seconds_per_update, last):
    made = lengths(Pace(1_000), seconds_per_update)
    assert made[-1] == pytest.approx(last, abs=1)
    assert made[-1] * seconds_per_update <= max(SECONDS, seconds_per_update) * 1.001
    assert all(b <= 10 * a for a, b in itertools.pairwise(made))


def test_compiling_makes_no_chunk_short():
    assert lengths(Pace(1_000), 0.001, 4)[2] == 10


def test_a_steady_pace_asks_no_clock():
    assert set(lengths(Pace(1_000, steady=True), 5.0)) == {STEADY}
    assert set(lengths(Pace(30, steady=True), 5.0)) == {30}


def test_a_chunk_that_was_cut_short_or_made_nothing_is_no_harm():
    pace = Pace(1_000)
    pace.took(1, 1.0)
    pace.took(0, 0.1)
    assert pace.count == 1
    pace.took(1, 0.0)
    assert pace.count == 10
