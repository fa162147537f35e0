"""Max-norm holds after every update, and moves nothing that it need not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import batch_of, plain
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.regularize import max_norm

SHAPES = {"dense/kernel": (30, 4), "conv/kernel": (3, 3, 5, 6), "wide/kernel": (2000, 3)}
VECTORS = {"dense/bias": (4,), "norm/scale": (6,), "gain": ()}


def norms(kernel, axis=-1) -> np.ndarray:
    """The norm of each unit's incoming weights, in float64, by a loop over units."""
    units = np.moveaxis(np.asarray(kernel, np.float64), axis, 0)
    return np.array([np.sqrt(sum(float(w) ** 2 for w in unit.ravel())) for unit in units])


def drawn(rng, size: float) -> dict:
    """Random arrays of all shapes; the units of a kernel differ in size."""
    return {
        name: jnp.asarray(
            size * rng.exponential(size=shape[-1:]) * rng.normal(size=shape), jnp.float32
        )
        for name, shape in {**SHAPES, **VECTORS}.items()
    }


@pytest.mark.slow
@given(seed=seeds, limit=st.sampled_from((0.01, 1.0, 5.0)), size=st.sampled_from((0.01, 1.0, 30.0)))
def test_no_unit_exceeds_the_limit_after_any_update(seed, limit, size):
    rng, tx = generator(seed), max_norm(limit)
    start = drawn(rng, 0.02 * limit)
    params = start
    for _ in range(4):
        updates, _ = tx.update(drawn(rng, size * limit), tx.init(params), params)
        params = optax.apply_updates(params, updates)
        for name in SHAPES:
            assert norms(params[name]).max() <= limit, name
            assert norms(params[name]).max() > 0


@given(seed=seeds, size=st.sampled_from((1.0, 10.0)))
def test_weights_that_start_outside_are_inside_after_one_update(seed, size):
    rng, tx = generator(seed), max_norm(1.0)
    params = drawn(rng, size)
    still = jax.tree.map(jnp.zeros_like, params)
    params = optax.apply_updates(params, tx.update(still, tx.init(params), params)[0])
    for name in SHAPES:  # the worst start is some thousand times too long
        assert norms(params[name]).max() <= 1 + 1e-3
    params = optax.apply_updates(params, tx.update(still, tx.init(params), params)[0])
    assert max(norms(params[name]).max() for name in SHAPES) <= 1.0


@given(seed=seeds)
def test_rounding_takes_no_unit_out_that_was_up_to_fifty_times_too_long(seed):
    kernel = generator(seed).normal(size=(30, 100))
    start = {"kernel": jnp.asarray(50 * kernel / norms(kernel), jnp.float32)}
    tx, still = max_norm(1.0), {"kernel": jnp.zeros((30, 100))}
    params = optax.apply_updates(start, tx.update(still, tx.init(start), start)[0])
    assert 1 - 2e-5 < norms(params["kernel"]).min() <= norms(params["kernel"]).max() <= 1.0


@pytest.mark.slow
@given(seed=seeds)
def test_units_inside_and_vectors_move_to_the_bit_as_without(seed):
    rng, tx = generator(seed), max_norm(3.0)
    params, updates = drawn(rng, 0.05), drawn(rng, 0.3)
    free = optax.apply_updates(params, updates)
    given = tx.update(updates, tx.init(params), params)[0]
    held = optax.apply_updates(params, given)
    for name in VECTORS:
        np.testing.assert_array_equal(held[name], free[name])
    for name in SHAPES:
        inside = norms(free[name]) < 2.999
        np.testing.assert_array_equal(given[name][..., inside], updates[name][..., inside])
        np.testing.assert_array_equal(held[name][..., inside], free[name][..., inside])
        outside = ~inside
        long = np.asarray(free[name])[..., outside]
        np.testing.assert_allclose(  # the direction stays, the length is the limit
            held[name][..., outside], 3.0 * long / norms(long), rtol=1e-4, atol=1e-5
        )


@pytest.mark.thin(3)
@pytest.mark.parametrize(("axis", "groups"), [(0, (4,)), ((0, -1), (4, 6)), ((1, 2), (5, 3))])
def test_units_may_lie_along_other_axes(axis, groups):
    tx = max_norm(0.5, unit_axis=axis)
    params = {"kernel": jnp.asarray(generator(0).normal(size=(4, 5, 3, 6)), jnp.float32)}
    zero = jax.tree.map(jnp.zeros_like, params)
    kernel = optax.apply_updates(params, tx.update(zero, tx.init(params), params)[0])["kernel"]
    axes = (axis,) if isinstance(axis, int) else axis
    rest = tuple(i for i in range(4) if i not in {a % 4 for a in axes})
    found = np.sqrt((np.asarray(kernel, np.float64) ** 2).sum(axis=rest))
    assert found.shape == groups
    np.testing.assert_allclose(found, 0.5, rtol=1e-4)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@given(seed=seeds)
def test_the_limit_holds_in_half_precision(dtype, seed):
    rng, tx = generator(seed), max_norm(2.0)
    params = {"kernel": jnp.asarray(0.1 * rng.normal(size=(50, 4)), dtype)}
    for _ in range(3):
        update = {"kernel": jnp.asarray(rng.normal(size=(50, 4)), dtype)}
        params = optax.apply_updates(params, tx.update(update, tx.init(params), params)[0])
        assert params["kernel"].dtype == dtype
        assert 1.8 < norms(params["kernel"]).max() <= 2.0


def test_it_holds_at_every_step_of_training():
    longest = {}
    for name, tx in (
        ("held", optax.chain(optax.adam(0.3), max_norm(0.7))),
        ("free", optax.adam(0.3)),
    ):
        loss_fn = jr.train.make_loss_fn(plain(), jr.losses.softmax_cross_entropy())
        step, batch = jax.jit(jr.make_train_step(loss_fn, tx)), batch_of(32)
        state = jr.train.create_state(plain(), tx, batch.inputs, jax.random.key(0))
        longest[name] = []
        for _ in range(15):
            state, _ = step(state, batch)
            longest[name].append(
                max(norms(layer["kernel"]).max() for layer in state.params.values())
            )
    assert max(longest["held"]) <= 0.7
    assert min(longest["free"]) > 0.7


def test_masks_choose_and_tables_are_left_out():
    params = {"embed": {"embedding": jnp.ones((9, 3))}, "out": {"kernel": jnp.ones((9, 3))}}
    zero = jax.tree.map(jnp.zeros_like, params)
    ends = []
    for tx in (max_norm(1.0), max_norm(1.0, mask={"embed": True, "out": False})):
        ends.append(optax.apply_updates(params, tx.update(zero, tx.init(params), params)[0]))
    np.testing.assert_array_equal(ends[0]["embed"]["embedding"], 1.0)
    np.testing.assert_allclose(norms(ends[0]["out"]["kernel"]), 1.0, rtol=1e-4)
    np.testing.assert_allclose(norms(ends[1]["embed"]["embedding"]), 1.0, rtol=1e-4)
    np.testing.assert_array_equal(ends[1]["out"]["kernel"], 1.0)


def test_a_dead_unit_and_a_gradient_that_is_not_finite():
    tx, params = max_norm(1.0), {"kernel": jnp.zeros((3, 2))}
    zero, _ = tx.update(params, tx.init(params), params)
    assert zero["kernel"].tolist() == [[0.0, 0.0]] * 3
    bad, _ = tx.update({"kernel": jnp.full((3, 2), jnp.nan)}, tx.init(params), params)
    assert np.isnan(bad["kernel"]).all()  # to be seen by whoever looks at the run


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), "5", None, True])
def test_a_limit_has_to_be_positive(bad):
    with pytest.raises(jr.TaskError, match=r"max_norm needs a limit > 0, got .*; try 5.0"):
        max_norm(bad)


def test_what_cannot_be_projected_is_an_error():
    params = {"kernel": jnp.ones((3, 2))}
    tx = max_norm(1.0)
    with pytest.raises(jr.TaskError, match=r"tx\.update\(grads, opt_state, params\)"):
        tx.update(params, tx.init(params))
    tx = max_norm(1.0, unit_axis=2)
    with pytest.raises(jr.TaskError, match=r"unit_axis=\(2,\) for a weight of shape \(3, 2\)"):
        tx.update(params, tx.init(params), params)
