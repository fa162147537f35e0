"""Schedules are shares of the run: stretch the run, and they stretch with it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jrecipe as jr
from jrecipe.train import schedules

ALL = {
    "constant": schedules.constant,
    "linear": schedules.linear,
    "cosine": schedules.cosine,
    "exponential": schedules.exponential,
    "stepwise": schedules.stepwise,
}
names = st.sampled_from(sorted(ALL))


def rates(schedule, steps):
    return np.asarray(jax.vmap(schedule)(jnp.asarray(steps, jnp.int32))) * np.ones(len(steps))


@given(name=names, warm_up=st.sampled_from([0.0, 0.1, 0.3]))
def test_a_longer_run_stretches_the_schedule(name, warm_up):
    short, long = (ALL[name](0.1, steps, warm_up=warm_up) for steps in (100, 10_000))
    at = np.array([0, 5, 20, 45, 60, 80, 99, 100])
    np.testing.assert_allclose(rates(short, at), rates(long, 100 * at), rtol=1e-3, atol=1e-6)


@given(name=names, warm_up=st.sampled_from([0.0, 0.25]))
def test_it_reaches_the_rate_after_the_warm_up_and_never_exceeds_it(name, warm_up):
    line = rates(ALL[name](0.2, 80, warm_up=warm_up), np.arange(81))
    assert line.max() == pytest.approx(0.2)
    assert line[round(80 * warm_up)] == pytest.approx(0.2)
    after = line[round(80 * warm_up) :]
    assert (np.diff(after) <= 1e-9).all()
    if warm_up:
        np.testing.assert_allclose(line[:20], 0.2 * np.arange(20) / 20, rtol=1e-5, atol=1e-9)


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("schedule", "end"),
    [
        (schedules.linear(0.1, 50), 0.0),
        (schedules.linear(0.1, 50, end=0.1, warm_up=0.2), 0.01),
        (schedules.cosine(0.1, 50), 0.0),
        (schedules.cosine(0.1, 50, end=0.5), 0.05),
        (schedules.exponential(0.1, 50), 0.001),
        (schedules.stepwise(0.1, 50), 0.001),
        (schedules.one_cycle(0.1, 50), 0.1 * 0.04 * 1e-4),
    ],
)
def test_it_ends_where_it_should(schedule, end):
    assert float(schedule(50)) == pytest.approx(end, abs=1e-9)
    assert float(schedule(5000)) == pytest.approx(end, abs=1e-9)  # and stays there


def test_one_cycle_peaks_where_it_should():
    line = rates(schedules.one_cycle(0.1, 100, peak=0.3), np.arange(101))
    assert int(np.argmax(line)) == 30
    assert line[0] == pytest.approx(0.004)


def test_steps_come_at_their_share_of_the_whole_run():
    line = rates(schedules.stepwise(1.0, 100, at=(0.5, 0.75), warm_up=0.1), np.arange(101))
    assert [int(i) for i in np.flatnonzero(np.diff(line[10:]) < 0) + 11] == [50, 75]


def test_the_preview_shows_a_schedule_written_for_another_run():
    shown = schedules.preview(schedules.cosine(1e-3, 2_000), 30_000)
    line = np.asarray(shown.lines["learning rate"])
    assert (line[len(line) // 10 :] == 0).all()
    assert "0 at the end" in shown.title


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.constant(-1.0, 10), "rate >= 0"),
        (lambda: schedules.linear(0.1, 0), "steps of the run"),
        (lambda: schedules.linear(0.1, 100, warm_up=20), "divide a number of steps by 100"),
        (lambda: schedules.cosine(0.1, 100, end=2.0), "end as a share"),
        (lambda: schedules.exponential(0.1, 100, end=0.0), "end > 0"),
        (lambda: schedules.stepwise(0.1, 100, at=(0.7, 0.5)), "ascend"),
        (lambda: schedules.stepwise(0.1, 100, at=(0.1,), warm_up=0.2), "ascend"),
        (lambda: schedules.one_cycle(0.1, 100, peak=1.0), "peak"),
    ],
)
def test_arguments_that_make_no_sense(call, message):
    with pytest.raises(jr.TaskError, match=message):
        call()
