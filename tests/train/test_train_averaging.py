"""Averages of weights advance on updates and are means of weights that were there."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_close, assert_identical, small

import jrecipe as jr
from jrecipe.train import averaged, ema, swa

START = {"a": jnp.arange(3.0), "b": {"c": jnp.ones((2, 2), jnp.bfloat16)}}


def follow(tx, steps: int):
    """Returns the weights after each update, and the optimiser's last state."""
    params, state, seen = START, tx.init(START), []
    for i in range(steps):
        grads = jax.tree.map(lambda x, i=i: jnp.full_like(x, (-1.0) ** i * (i + 1)), params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        seen.append(params)
    return seen, state


def mean(seen, weights):
    shares = np.asarray(weights, np.float64) / np.sum(weights)

    def of(*leaves):
        return np.tensordot(shares, np.stack([np.asarray(x, np.float64) for x in leaves]), 1)

    return jax.tree.map(of, *seen)


@given(decay=st.sampled_from([0.0, 0.5, 0.99, 0.9999]), steps=st.integers(1, 6))
def test_ema_is_the_weighted_mean_from_the_first_update_on(decay, steps):
    seen, state = follow(optax.chain(optax.sgd(0.1), ema(decay)), steps)
    want = mean(seen, [decay ** (steps - 1 - i) for i in range(steps)])
    got = averaged(state, seen[-1])
    np.testing.assert_allclose(got["a"], want["a"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(got["b"]["c"].astype(float), want["b"]["c"], rtol=1e-2, atol=1e-2)
    assert got["b"]["c"].dtype == jnp.bfloat16


@given(start=st.integers(0, 5), every=st.integers(1, 3))
def test_swa_is_the_plain_mean_of_those_that_count(start, every):
    seen, state = follow(optax.chain(optax.sgd(0.1), swa(start, every)), 6)
    counts = [float(i >= start and (i - start) % every == 0) for i in range(1, 7)]
    got = averaged(state, seen[-1])["a"]
    want = mean(seen, counts)["a"] if any(counts) else seen[-1]["a"]
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_averaging_changes_no_update():
    plain, _ = follow(optax.adam(0.1), 4)
    kept, _ = follow(optax.chain(optax.adam(0.1), ema()), 4)
    assert_identical(kept, plain)


def test_before_the_first_update_it_is_the_weights():
    tx = optax.chain(optax.sgd(0.1), ema())
    assert_identical(averaged(tx.init(START), START), START)


@pytest.mark.slow
def test_frozen_weights_are_returned_as_they_are():
    task = small(optimizer=optax.chain(optax.adam(1e-2), ema(0.5)), frozen=("first/*",))
    state = jr.fit(task, 5).state
    mixed = averaged(state.opt_state, state.params)
    assert_identical(mixed["first"], state.params["first"])
    assert not np.array_equal(mixed["last"]["kernel"], state.params["last"]["kernel"])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_average_is_resumed_to_the_bit(tmp_path):
    task = small(optimizer=optax.chain(optax.adam(1e-2), ema(0.9)))
    whole = jr.fit(task, 20, eval_every=5).state
    jr.fit(task, 8, eval_every=5, out=tmp_path)
    rest = jr.fit(task, 20, eval_every=5, out=tmp_path, resume=True).state
    assert_identical(averaged(rest.opt_state, rest.params), averaged(whole.opt_state, whole.params))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_accumulation_counts_updates_not_parts():
    task = small(optimizer=optax.chain(optax.adam(1e-2), ema(0.9)))
    states = [jr.fit(task, 6, accumulate=k).state for k in (1, 4)]
    assert_close(*[averaged(state.opt_state, state.params) for state in states])
    counts = [leaf for leaf in jax.tree.leaves(states[1].opt_state) if leaf.dtype == jnp.int32]
    assert {int(count) for count in counts} == {6}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ema(1.0), "decay"),
        (lambda: swa(-1), "start=-1"),
        (lambda: swa(0, 0), "every=0"),
        (lambda: averaged(optax.adam(0.1).init(START), START), "found 0 averages"),
        (lambda: ema().update(START, ema().init(START)), "tx.update"),
    ],
)
def test_what_cannot_be_averaged_is_refused(call, message):
    with pytest.raises(jr.TaskError, match=message):
        call()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_fit_evaluates_and_keeps_the_averaged_weights(tmp_path):
    task = small(optimizer=optax.chain(optax.sgd(0.5), ema(0.9)))
    plain = jr.fit(task, steps=30, eval_every=5, progress=False)
    run = jr.fit(task, steps=30, eval_every=5, average=True, out=tmp_path, progress=False)
    assert_identical(run.state, plain.state)  # the updates are those of the run without it
    shown = averaged(run.state.opt_state, run.state.params)
    predict = jr.train.reference_trainer(task).predict
    state = dataclasses.replace(run.state, params=shown)
    loss = jr.evaluate(predict, state, task.val, task.loss).loss
    assert run.history["val_loss"][-1] == pytest.approx(loss, rel=1e-6)
    assert not np.array_equal(run.history["val_loss"], plain.history["val_loss"])
    if run.best_step == 30:
        assert_close(run.best.params, shown)
    at_best = run.history["val_loss"][run.history.steps("val_loss") == run.best_step]
    assert run.evaluate().loss == pytest.approx(float(at_best[0]), rel=1e-6)
    more = jr.fit(task, 40, eval_every=5, average=True, out=tmp_path, resume=True, progress=False)
    whole = jr.fit(task, 40, eval_every=5, average=True, progress=False)
    assert_identical((more.state, more.best), (whole.state, whole.best))


def test_an_average_that_nobody_keeps_is_refused():
    with pytest.raises(jr.TaskError, match="found 0 averages"):
        jr.fit(small(), steps=1, average=True, progress=False)
    trainer = jr.train.reference_trainer(small())
    with pytest.raises(jr.TaskError, match="average=True with a trainer of the task's own"):
        jr.fit(small(trainer=trainer), steps=1, average=True, progress=False)
