"""A cooldown is a learning rate that falls to 0 at the end of any run, also of a resumed one."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_close, assert_identical, noise, plain, small

import jrecipe as jr
from jrecipe.train.cadence import Cadence

NOISY = small(model=plain(dropout=0.3), augment=noise, optimizer=optax.adamw(1e-2))


def fit(task, steps=12, **options) -> jr.Fit:
    return jr.fit(task, steps, **{"eval_every": 4, "progress": False, **options})


@pytest.fixture(scope="module")
def whole() -> jr.Fit:
    return fit(NOISY, cooldown=4)


@pytest.mark.exhaustive
def test_it_is_what_a_schedule_would_be(whole):
    """Also for what is decoupled from the gradient: the decay of adamw falls with the rate."""

    def rate(count):
        return 1e-2 * jnp.clip((12 - count) / 4, 0, 1)

    written = fit(NOISY.replace(optimizer=optax.adamw(rate)))
    assert_close(whole.state.params, written.state.params, rtol=1e-5, atol=1e-6)
    constant = fit(NOISY)
    assert whole.history["loss"][:9].tolist() == constant.history["loss"][:9].tolist()
    kernel = lambda run: np.asarray(run.state.params["first"]["kernel"])  # noqa: E731
    assert np.abs(kernel(whole) - kernel(constant)).max() > 1e-3


@pytest.mark.slow
def test_a_run_without_one_is_cooled_down_when_it_is_resumed(whole, tmp_path):
    fit(NOISY, 8, out=tmp_path)
    cooled = fit(NOISY, 12, cooldown=4, out=tmp_path, resume=True)
    assert_identical((cooled.state, cooled.best), (whole.state, whole.best))
    assert cooled.history.rows == whole.history.rows


@pytest.mark.exhaustive
@pytest.mark.slow
def test_it_goes_on_where_it_was_cut_off(whole, tmp_path):
    fit(NOISY, 12, cooldown=4, eval_every=10, out=tmp_path, minutes=1e-9)
    cooled = fit(NOISY, 12, cooldown=4, out=tmp_path, resume=True)
    assert cooled.steps == 12
    assert_identical(cooled.state, whole.state)


def test_it_is_evaluated_ten_times():
    plan = Cadence(small(), 1_000, None, None, 20, steady=False)
    assert [s for s in range(980, 1_001) if plan.evaluates(s)] == list(range(980, 1_001, 2))


def test_what_cannot_be_cooled_down_says_so():
    with pytest.raises(jr.TaskError, match="cooldown=13 with steps=12; it is the last part"):
        fit(small(), cooldown=13)
    with pytest.raises(jr.TaskError, match="with steps=2147483648"):
        fit(small(), 2**31, cooldown=1)
    with pytest.raises(jr.TaskError, match="cooldown as an integer >= 1, got -1"):
        fit(small(), cooldown=-1)
    averaging = small(optimizer=optax.chain(optax.adam(1e-2), jr.train.ema(0.9)))
    with pytest.raises(jr.TaskError, match="averages stand in for a cooldown: leave it out"):
        fit(averaging, cooldown=4)
    own = dataclasses.replace(jr.train.reference_trainer(small()))
    with pytest.raises(jr.TaskError, match="with a trainer of the task's own"):
        fit(small().replace(trainer=own), cooldown=4)
