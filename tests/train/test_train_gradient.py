"""Accumulated gradients are those of the whole batch, whatever the weights and the parts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_close, batch_of, plain, small
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.train import create_state, make_loss_fn, make_train_step
from jrecipe.train.gradient import split_batch
from jrecipe.train.state import state_of

pytestmark = pytest.mark.thin(2)

# Clips after averaging. Adam's usual eps makes rounding of a gradient of 1e-9 an update of 1e-2.
TX = optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-2, eps=1e-3))
MODEL = plain()


def per_token(outputs, targets):
    """Weighs examples by made-up numbers of tokens, 0 to 9."""
    value = optax.softmax_cross_entropy_with_integer_labels(outputs, targets["label"])
    return value, targets["tokens"]


STEPS = {
    parts: jax.jit(make_train_step(make_loss_fn(MODEL, per_token), TX, accumulate=parts))
    for parts in (1, 2, 5, 16)
}


def batch(seed: int, n: int = 16) -> jr.Batch:
    plain_batch, rng = batch_of(n, seed), generator(seed)
    tokens = jnp.asarray(rng.integers(0, 10, n), jnp.float32).at[0].set(3.0)
    real = jnp.asarray(rng.random(n) < 0.8, jnp.float32).at[0].set(1.0)
    targets = {"label": plain_batch.targets, "tokens": tokens}
    return plain_batch._replace(targets=targets, weights=real)


@given(seed=seeds, parts=st.sampled_from([2, 5, 16]))  # 5 leaves a short last part
def test_accumulation_equals_the_whole_batch(seed, parts):
    start = create_state(MODEL, TX, batch(0).inputs, jax.random.key(seed))
    whole = together = start
    for i in range(3):
        whole, numbers = STEPS[1](whole, batch(seed + i))
        together, own = STEPS[parts](together, batch(seed + i))
        assert_close(own, numbers)
    assert_close(together.params, whole.params)


def test_the_mean_of_the_means_of_parts_would_be_noticed():
    one = batch(1)._replace(weights=jnp.ones(16))
    tokens = jnp.asarray([9.0] * 8 + [1.0] * 8)
    one = one._replace(targets={**one.targets, "tokens": tokens})
    state = create_state(MODEL, TX, one.inputs, jax.random.key(0))
    halves = [jax.tree.map(lambda x, k=k: x[8 * k : 8 * k + 8], one) for k in (0, 1)]
    loss = STEPS[2](state, one)[1]["loss"]
    naive = np.mean([STEPS[1](state, half)[1]["loss"] for half in halves])
    right = np.average([STEPS[1](state, half)[1]["loss"] for half in halves], weights=[9, 1])
    np.testing.assert_allclose(loss, right, rtol=1e-5)
    assert abs(loss - naive) > 1e-3


@pytest.mark.slow
def test_every_part_draws_its_own_noise():
    model = plain(dropout=0.5)
    loss_fn = make_loss_fn(model, jr.losses.softmax_cross_entropy())
    one = jax.tree.map(lambda x: x[:1], batch_of(4))
    four = jax.tree.map(lambda x: jnp.repeat(x, 4, axis=0), one)
    state = create_state(model, TX, four.inputs, jax.random.key(0))
    loss = jax.jit(make_train_step(loss_fn, TX, accumulate=4))(state, four)[1]["loss"]
    keys = [jax.random.fold_in(jax.random.fold_in(state.key, 0), i) for i in range(4)]
    alone = [loss_fn(state.params, {}, one, key)[0][0] for key in keys]
    assert len({float(value) for value in alone}) > 1
    np.testing.assert_allclose(loss, np.mean(alone), rtol=1e-5)


def test_the_state_of_the_network_goes_from_part_to_part():
    model = plain(norm=True)
    loss_fn = make_loss_fn(model, jr.losses.softmax_cross_entropy())
    state = create_state(model, TX, batch_of(16).inputs, jax.random.key(0))
    after, _ = jax.jit(make_train_step(loss_fn, TX, accumulate=4))(state, batch_of(16))
    assert int(after.model_state["seen"]) == 4


@pytest.mark.slow
def test_half_precision_is_summed_in_float32():
    tx, one = optax.sgd(1.0), batch(0)
    params = jax.tree.map(
        lambda x: x.astype(jnp.bfloat16), MODEL.init(jax.random.key(0), one.inputs)[0]
    )
    state = state_of(params, {}, tx, jax.random.key(0))
    loss_fn = make_loss_fn(MODEL, per_token)
    runs = [jax.jit(make_train_step(loss_fn, tx, accumulate=k))(state, one)[0] for k in (1, 16)]
    assert {leaf.dtype for leaf in jax.tree.leaves(runs[1].params)} == {jnp.dtype("bfloat16")}
    wide = [jax.tree.map(lambda x: x.astype(jnp.float32), run.params) for run in runs]
    assert_close(wide[1], wide[0], rtol=2**-7, atol=2**-9)  # one rounding to bfloat16, not 16


@given(rows=st.integers(1, 9), data=st.data())
def test_parts_hold_every_row_once(rows, data):
    parts = data.draw(st.integers(1, rows))
    cut = split_batch(jr.Batch(np.arange(rows), np.arange(rows), np.ones(rows)), parts)
    assert cut.weights.shape[0] == parts
    kept = np.asarray(cut.inputs)[np.asarray(cut.weights) > 0]
    np.testing.assert_array_equal(kept, np.arange(rows))


def test_more_parts_than_rows_are_refused():
    with pytest.raises(jr.TaskError, match=r"accumulate=17 .* rows \(16\)"):
        jr.fit(small(), 2, accumulate=17)


@pytest.mark.slow
def test_fit_accumulates():
    whole, parts = jr.fit(small(), 20), jr.fit(small(), 20, accumulate=4)
    assert_close(parts.state.params, whole.state.params)
    assert not all(
        np.array_equal(a, b)
        for a, b in zip(
            jax.tree.leaves(parts.state.params), jax.tree.leaves(whole.state.params), strict=True
        )
    )
