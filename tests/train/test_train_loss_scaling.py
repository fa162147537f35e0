"""Gradients too small for float16 arrive, and those too large change nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import assert_close, assert_identical, pictures, plain, small

import jrecipe as jr
from jrecipe.models import in_precision
from jrecipe.train import loss_scale, loss_scaled

pytestmark = pytest.mark.thin(2)


def halved(optimizer, **changes) -> jr.Task:
    task = small(**{"optimizer": optimizer, **changes})
    return task.replace(model=in_precision(task.model, "float16"))


def tiny(outputs, targets):
    """A loss of which the gradients are below what float16 can hold."""
    return 1e-7 * optax.softmax_cross_entropy_with_integer_labels(outputs, targets)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_small_gradients_are_lost_without_it_and_not_with_it():
    step = lambda tx: jr.fit(halved(tx, loss=tiny), steps=1, progress=False).state  # noqa: E731
    start = jr.train.reference_trainer(small()).init(jax.random.key(0)).params
    lost = step(optax.sgd(1e6)).params
    assert_identical(lost["first"]["kernel"], start["first"]["kernel"])
    exact = jr.fit(small(optimizer=optax.sgd(1e6), loss=tiny), steps=1, progress=False)
    held = step(loss_scaled(optax.sgd(1e6))).params
    moved, want = (jax.tree.map(jnp.subtract, x, start) for x in (held, exact.state.params))
    assert_close(moved, want, 0.02, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_an_update_that_overflows_is_left_out_and_the_factor_halved(accumulate):
    tx = loss_scaled(optax.chain(optax.adam(1e-2), jr.train.ema()), start=2.0**24, every=50)
    run = jr.fit(halved(tx), steps=40, progress=False, accumulate=accumulate)
    scales, norms = run.history["loss_scale"], run.history["grad_norm"]
    left_out = int((norms == 0).sum())
    assert run.problem == ""
    assert 0 < left_out < 20
    np.testing.assert_array_equal(scales[:left_out], 2.0**24 / 2.0 ** np.arange(left_out))
    counts = [
        leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(run.state.opt_state)
        if "count" in jax.tree_util.keystr(path)
    ]
    assert len(counts) == 2
    assert all(int(count) == 40 - left_out for count in counts)
    assert run.history["loss"][-1] < 0.8 * run.history["loss"][0]


def test_a_left_out_update_leaves_everything_else_as_it_was():
    task = halved(loss_scaled(optax.adam(1e-2), start=2.0**24), model=plain(norm=True))
    trainer = jr.train.reference_trainer(task)
    state = trainer.init(jax.random.key(0))
    inputs, targets = pictures(16, 3)
    after, metrics = trainer.step(
        state, jr.Batch(inputs, targets, np.ones(16, np.float32)), jax.random.key(1)
    )
    assert float(metrics["grad_norm"]) == 0
    assert np.isfinite(metrics["loss"])
    assert_identical(after.params, state.params)
    assert_identical(after.model_state, state.model_state)
    assert_identical(after.opt_state.inner, state.opt_state.inner)
    assert float(loss_scale(after.opt_state)) == 2.0**23


def test_the_factor_grows_after_enough_updates_and_has_ends():
    tx = loss_scaled(optax.sgd(0.1), start=2.0**23, every=2)
    params = jnp.ones(3)
    state, seen = tx.init(params), []
    for _ in range(5):
        _, state = tx.update(jnp.ones(3), state, params)
        seen.append(float(state.scale))
    assert seen == [2.0**23, 2.0**24, 2.0**24, 2.0**24, 2.0**24]
    for _ in range(30):
        updates, state = tx.update(jnp.array([1.0, jnp.inf, 1.0]), state, params)
        assert not np.asarray(updates).any()
    assert float(state.scale) == 1.0


@pytest.mark.slow
def test_a_power_of_two_changes_nothing_in_float32():
    scaled = jr.fit(small(optimizer=loss_scaled(optax.adam(1e-2))), steps=20, progress=False)
    plain = jr.fit(small(), steps=20, progress=False)
    assert_close(scaled.state.params, plain.state.params, 1e-6)


@pytest.mark.slow
def test_numbers_that_no_factor_helps_stop_the_run():
    inputs, targets = pictures(60, 1)

    def broken(outputs, targets):
        return jnp.sqrt(outputs[:, 0] * 0.0) / outputs[:, 0].mean()  # finite loss, NaN gradient

    run = jr.fit(
        halved(loss_scaled(optax.adam(1e-2), start=4.0), loss=broken, train=(inputs, targets)),
        steps=20,
        progress=False,
    )
    assert run.problem
    assert run.steps == 2


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_resumed_run_knows_its_factor(tmp_path):
    task = halved(loss_scaled(optax.adam(1e-2), start=2.0**24, every=5))
    whole = jr.fit(task, steps=30, progress=False)
    jr.fit(task, steps=17, out=tmp_path, progress=False)
    again = jr.fit(task, steps=30, out=tmp_path, resume=True, progress=False)
    assert_identical(again.state, whole.state)


@pytest.mark.parametrize("wrong", [{"start": 0.5}, {"every": 0}])
def test_arguments_out_of_range_are_refused(wrong):
    with pytest.raises(jr.TaskError, match="loss_scaled needs start >= 1 and every >= 1"):
        loss_scaled(optax.sgd(0.1), **wrong)


def test_other_optimizers_have_no_factor():
    assert loss_scale(optax.adam(0.1).init(jnp.ones(2))) is None
