"""Plateaus are told when they last, once each, and not where noise hides that the loss falls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.train.history import History
from jrecipe.train.plateau import PATIENCE, Plateau, Plateaus, plateaus_in, trend

seeds = st.integers(0, 2**16)


def row(step: int, loss: float, stderr: float = 0.01) -> dict[str, float]:
    return {"step": step, "val_loss": loss, "val_loss_stderr": stderr}


def told(losses, stderr: float = 0.01) -> list[tuple[int, Plateau]]:
    seen = Plateaus(History(), eval_every=1)
    found = [(step, seen.add(row(step, loss, stderr))) for step, loss in enumerate(losses)]
    return [(step, plateau) for step, plateau in found if plateau is not None]


def test_a_flat_loss_is_told_ever_more_seldom():
    found = told([2.0] + [1.0] * 400)
    assert [plateau.waited for _, plateau in found] == [20, 40, 80, 160, 320]
    assert {plateau.since for _, plateau in found} == {1}
    assert str(found[0][1]) == (
        "the validation loss has not fallen by more than its standard error in 20 evaluations "
        "since step 1 (1 ± 0.01)"
    )


@given(seed=seeds)
def test_noise_about_a_level_is_a_plateau_and_no_fall(seed):
    scatter = np.random.default_rng(seed).normal(size=1_000)
    found = told(1.0 + 0.001 * scatter)  # the standard error is 0.01, so none of them is a fall
    assert len(found) == 6
    assert all(plateau.waited for _, plateau in found)
    found = told(1.0 + 0.05 * scatter)  # now some are, and yet nobody is told often
    assert 1 <= len(found) <= 12


@given(seed=seeds, error=st.sampled_from([0.0, 0.01]))
def test_a_loss_that_falls_is_no_plateau_however_noisy(seed, error):
    """Each step is 0.4 of the noise: many in a row are without a new best."""
    noise = 0.02 * np.random.default_rng(seed).normal(size=200)
    losses = 2.0 - 0.008 * np.arange(200) + noise
    assert not told(losses, error)


def test_one_lucky_evaluation_hides_no_fall_behind_it():
    falling = 1.0 - 0.01 * np.arange(30)
    lucky = np.concatenate([[2.0, 0.2], falling])
    assert not told(lucky)
    assert told(np.concatenate([[2.0, 0.2], np.full(30, 1.0)]))  # nothing behind it falls


def test_small_steps_count_when_their_sum_can_be_told_from_chance():
    assert not told(1.0 - 0.004 * np.arange(100), stderr=0.03)  # every eighth is a fall
    # Each a thousandth of the standard error.
    assert told(1.0 - 0.00001 * (np.arange(100) % 3), stderr=0.03)


def test_a_fall_after_a_plateau_is_told_and_patience_has_grown():
    losses = [2.0] + [1.0] * 25 + [0.5] * 22 + [0.4] * 50
    found = told(losses)
    assert [(step, plateau.waited) for step, plateau in found] == [(21, 20), (26, 0), (88, 40)]
    assert str(found[1][1]) == "the validation loss falls again: 0.5 ± 0.01 at step 26"
    assert found[2][1].since == 48


def test_a_loss_that_rises_is_said_to():
    found = told([2.0, 1.0, *(1.0 + 0.1 * np.arange(22))])
    assert found[0][1].rise == pytest.approx(1.0)
    assert "; it has risen by 1 meanwhile" in str(found[0][1])


def test_what_is_not_finite_is_no_fall():
    assert [p.waited for _, p in told([2.0, *[float("nan")] * 22])] == [PATIENCE]
    assert told([float("nan")] * 5 + [1.0]) == []
    assert told([1.0] * 22, stderr=float("nan"))[0][1].stderr == 0.0  # one example has none


@given(seed=seeds, cut=st.integers(1, 119))
def test_a_resumed_run_tells_what_an_uninterrupted_one_does(seed, cut):
    rng = np.random.default_rng(seed)
    losses = 1.0 / (1 + np.arange(120) // 35) + 0.01 * rng.normal(size=120)
    whole, parts = History(), History()
    seen = Plateaus(whole, eval_every=4)
    resumed = Plateaus(parts, eval_every=4)
    for number, loss in enumerate(losses):
        if number == cut:
            parts.add(4 * number - 1, {"val_loss": 0.1, "val_loss_stderr": 0.1})  # its last
            resumed = Plateaus(parts, eval_every=4)
        for history, watch in ((whole, seen), (parts, resumed)):
            history.add(4 * number, {"val_loss": loss, "val_loss_stderr": 0.01})
            if plateau := watch.add(history.rows[-1]):
                history.add(4 * number, plateau.row())
    assert plateaus_in(parts) == plateaus_in(whole)
    assert len(plateaus_in(whole)) >= 2


def test_a_plateau_comes_back_from_the_history():
    history, plateau = History(), Plateau(10, 5, 0.25, 0.5, rise=0.125)
    history.add(7, {"loss": 1.0})
    history.add(8, plateau.row())
    assert plateaus_in(history) == [(8, plateau)]


@given(seed=seeds)
def test_a_trend_is_seldom_seen_in_noise(seed):
    rng = np.random.default_rng(seed)
    found = [trend(rng.normal(size=20)) for _ in range(200)]
    assert np.mean(np.array(found) != 0) < 0.15  # 5 % are due
    assert trend(rng.normal(size=20) + np.arange(20)) > 0
    assert trend(rng.normal(size=20) - np.arange(20)) < 0
