"""The learning-rate range test finds the edge, and changes nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import Remote, assert_identical, pictures, plain, small

import jrecipe as jr
from jrecipe.train import lr_find, reference_trainer
from jrecipe.train.rate_finder import _read


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_state_and_the_run_stay_as_they_were():
    task = small(model=plain(dropout=0.3, norm=True))
    state = reference_trainer(task).init(jax.random.key(3))
    before = jax.tree.map(np.array, (state.params, state.model_state, state.opt_state, state.step))
    first = lr_find(task, state=state, steps=30)
    assert_identical(before, (state.params, state.model_state, state.opt_state, state.step))
    again = lr_find(task, state=state, steps=30)
    np.testing.assert_array_equal(first.losses, again.losses)
    run = jr.fit(task, 5, seed=3)
    lr_find(task, seed=3, steps=30)
    assert_identical(jr.fit(task, 5, seed=3).state, run.state)


def quadratic(rate: float) -> tuple[jr.Task, float]:
    """Returns least squares in batches of everything, and the rate at which SGD diverges."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype(np.float32)
    y = (x @ rng.normal(size=(5, 1)) + rng.normal(size=(64, 1))).astype(np.float32)
    model = jr.Model(
        init=lambda key, inputs: (jnp.zeros((5, 1)), {}),
        apply=lambda params, state, inputs, *, key=None, train=False: (inputs @ params, state),
    )
    loss = lambda outputs, targets: ((outputs - targets) ** 2)[:, 0]  # noqa: E731
    task = jr.Task(
        model=model,
        loss=loss,
        train=(x, y),
        val=(x, y),
        optimizer=optax.sgd(rate),
        batch_size=64,
    )
    curvature = np.linalg.eigvalsh(2 * x.T @ x / 64).max()
    return task, 2 / curvature


@pytest.mark.thin(3)
@pytest.mark.parametrize("rate", [1e-4, 1e-2, 3.0])
def test_it_finds_the_edge_of_a_quadratic_from_any_rate(rate):
    task, edge = quadratic(rate)
    found = lr_find(task, low=1e-3 * edge / rate, high=1e3 * edge / rate, steps=200)
    assert 0.3 * edge < found.lowest * rate < 3 * edge
    assert found.steepest < found.lowest
    assert found.factors[-1] * rate < 30 * edge  # cut soon after


@pytest.mark.slow
def test_a_convolution_and_a_stream_are_followed_alike(monkeypatch):
    whole = lr_find(small(), steps=20)
    np.testing.assert_allclose(
        lr_find(small(train=Remote(*pictures(60, 1))), steps=20).losses, whole.losses, rtol=1e-6
    )
    monkeypatch.setattr("jrecipe.train.rate_finder.scans_well", lambda *args: False)
    np.testing.assert_allclose(lr_find(small(), steps=20).losses, whole.losses, rtol=1e-4)


def test_a_curve_is_read_by_numbers():
    factors = np.geomspace(1e-4, 1e4, 201)
    decades = np.log10(factors)
    falls = 2.0 - 1 / (1 + np.exp(-4 * (decades + 1)))  # steepest at a tenth
    curve = np.where(decades < 1, falls, falls + 10 ** (decades - 1) - 1)
    found = _read(factors, curve)
    assert 0.03 < found.steepest < 0.6
    assert 3 < found.lowest < 40
    assert len(found.losses) < 201  # cut where it left all bounds
    assert found.rises
    falling = _read(factors, falls)
    assert not falling.rises
    assert "does not rise up to 1e+04 times" in str(falling)
    level = _read(factors, np.full(201, 2.0))
    assert np.isnan(level.steepest)
    gone = _read(factors, np.where(decades < 0, 2.0, np.nan))
    assert np.isfinite(gone.losses).all()


@pytest.mark.slow
def test_it_can_be_seen():
    found = lr_find(small(), steps=20)
    assert "times the learning rate" in str(found)
    assert found.curves().log_x


@pytest.mark.parametrize(
    ("options", "message"),
    [({"low": 0.0}, "low=0.0"), ({"high": 1e-9}, "low < high"), ({"steps": 3}, "steps >= 10")],
)
def test_arguments_that_make_no_sense(options, message):
    with pytest.raises(jr.TaskError, match=message):
        lr_find(small(), **options)


def test_a_trainer_of_the_users_own_cannot_be_scaled():
    with pytest.raises(jr.TaskError, match="of the task's own"):
        lr_find(small(trainer=reference_trainer(small())))
