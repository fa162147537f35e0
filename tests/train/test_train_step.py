"""The step: a weighted mean over the whole batch, however it is padded or laid over devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_close, assert_identical, batch_of, noise, plain
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.train import create_state, make_loss_fn, make_train_step
from jrecipe.train.gradient_norm import gradient_norm

pytestmark = pytest.mark.thin(2)

TX = optax.adamw(1e-2)
LOSS = jr.losses.softmax_cross_entropy()
MODEL = plain()
STEP = jax.jit(make_train_step(make_loss_fn(MODEL, LOSS), TX))


def start(model=MODEL, tx=TX, seed: int = 0):
    return create_state(model, tx, batch_of(4).inputs, jax.random.key(seed))


def halves(batch):
    return jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[1:]), batch)


@given(seed=seeds, scale=st.floats(0.1, 100.0), padding=st.integers(1, 6))
def test_rows_of_weight_zero_change_nothing(seed, scale, padding):
    rng, batch = generator(seed), batch_of(16)
    real = (np.arange(16) < 16 - padding).astype(np.float32)
    garbage = jr.Batch(
        jnp.where(real[:, None] > 0, batch.inputs, scale * rng.normal(size=(16, 16))),
        jnp.where(real > 0, batch.targets, rng.integers(0, 4, 16)),
        jnp.asarray(real),
    )
    clean = STEP(start(), batch._replace(weights=jnp.asarray(real)))
    assert_identical(STEP(start(), garbage), clean)


def test_padding_equals_leaving_the_rows_out():
    batch = batch_of(16)
    padded = batch._replace(weights=(jnp.arange(16) < 11).astype(jnp.float32))
    short = jax.tree.map(lambda x: x[:11], batch)
    assert_close(STEP(start(), padded)[1], STEP(start(), short)[1])


@pytest.mark.slow
def test_several_steps_equal_a_loop_written_by_hand_in_optax():
    state, batch = start(), batch_of(16)
    params, opt_state = state.params, state.opt_state

    def loss(params):
        logits = MODEL.apply(params, {}, batch.inputs)[0]
        return optax.softmax_cross_entropy_with_integer_labels(logits, batch.targets).mean()

    for i in range(3):
        value, grads = jax.value_and_grad(loss)(params)
        updates, opt_state = TX.update(grads, opt_state, params)
        params = optax.apply_updates(params, updates)
        state, metrics = STEP(state, batch)
        assert int(state.step) == i + 1
        np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)  # of the weights before
        np.testing.assert_allclose(metrics["grad_norm"], optax.tree.norm(grads), rtol=1e-5)
    assert_close(state.params, params)


def test_a_loss_with_weights_of_its_own_is_averaged_by_them():
    def loss(outputs, targets):
        return outputs[:, 0], targets.astype(jnp.float32)

    batch = batch_of(16)
    step = jax.jit(make_train_step(make_loss_fn(MODEL, loss), optax.sgd(0.1)))
    state = start(tx=optax.sgd(0.1))
    value = MODEL.apply(state.params, {}, batch.inputs)[0][:, 0]
    want = np.average(value, weights=batch.targets)
    np.testing.assert_allclose(step(state, batch)[1]["loss"], want, rtol=1e-5)


def test_a_batch_of_padding_only_moves_nothing():
    state, tx = start(tx=optax.sgd(0.1)), optax.sgd(0.1)
    step = jax.jit(make_train_step(make_loss_fn(MODEL, LOSS), tx))
    after, metrics = step(state, batch_of(4)._replace(weights=jnp.zeros(4)))
    assert_identical(after.params, state.params)
    assert float(metrics["loss"]) == 0.0


def test_noise_depends_on_the_step_and_the_seed_alone():
    model = plain(dropout=0.5)
    step = jax.jit(make_train_step(make_loss_fn(model, LOSS, noise), optax.sgd(0.0)))
    state, batch = start(model, optax.sgd(0.0)), batch_of(16)
    second, first_metrics = step(state, batch)
    assert step(state, batch)[1]["loss"] == first_metrics["loss"]
    assert step(second, batch)[1]["loss"] != first_metrics["loss"]  # equal weights, another draw


def on_vmap(step, state, batch):
    states, metrics = jax.vmap(step, (None, 0), axis_name="part")(state, halves(batch))
    return jax.tree.map(lambda x: x[0], (states, metrics)), states


def on_pmap(step, state, batch):
    states, metrics = jax.pmap(step, axis_name="part", in_axes=(None, 0))(state, halves(batch))
    return jax.tree.map(lambda x: x[0], (states, metrics)), states


def on_shard_map(checked):
    def run(step, state, batch):
        mesh = jax.make_mesh((2,), ("part",), axis_types=(jax.sharding.AxisType.Auto,))
        none, part = jax.sharding.PartitionSpec(), jax.sharding.PartitionSpec("part")
        mapped = jax.shard_map(
            step, mesh=mesh, in_specs=(none, part), out_specs=(none, none), check_vma=checked
        )
        return jax.jit(mapped)(state, batch), None

    return run


LAYOUTS = {
    "vmap": on_vmap,
    "pmap": on_pmap,
    "shard_map": on_shard_map(False),
    "shard_map-checked": on_shard_map(True),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_two_parts_equal_one_device_even_if_one_part_holds_the_padding(layout):
    weights = jnp.concatenate([jnp.ones(10), jnp.zeros(6)])  # 8 examples here, 2 there
    batch = batch_of(16)._replace(weights=weights)
    step = make_train_step(make_loss_fn(MODEL, LOSS), TX, axis_name="part")
    (state, metrics), states = LAYOUTS[layout](step, start(), batch)
    alone, alone_metrics = STEP(start(), batch)
    assert_close(metrics, alone_metrics)
    assert_close(state.params, alone.params, rtol=1e-4, atol=1e-5)
    if states is not None:  # every part ends with the same weights
        assert_identical(*(jax.tree.map(lambda x, i=i: x[i], states.params) for i in (0, 1)))


@pytest.mark.slow
def test_batch_statistics_are_those_of_each_part_averaged():
    # A part normalises by its own half, so gradients differ from one device's; the running mean of
    # equal halves does not, and counters stay integers.
    model, batch = plain(norm=True), batch_of(16)
    tx = optax.sgd(0.1)
    loss_fn = make_loss_fn(model, LOSS)
    split = make_train_step(loss_fn, tx, axis_name="part")
    (state, _), states = on_vmap(split, start(model, tx), batch)
    alone, _ = jax.jit(make_train_step(loss_fn, tx))(start(model, tx), batch)
    assert_close(state.model_state, alone.model_state)
    assert state.model_state["seen"].dtype == jnp.int32
    assert_identical(*(jax.tree.map(lambda x, i=i: x[i], states.model_state) for i in (0, 1)))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_each_part_draws_its_own_noise():
    def init(key, inputs):
        return {"w": jnp.zeros(())}, {"drawn": jnp.zeros(())}

    def apply(params, state, inputs, *, key=None, train=False):
        return params["w"] + jnp.zeros((len(inputs), 4)), {"drawn": jax.random.uniform(key)}

    step = make_train_step(make_loss_fn(jr.Model(init, apply), LOSS), TX, axis_name="part")
    state = start(jr.Model(init, apply))
    (after, _), _ = on_vmap(step, state, batch_of(16))
    keys = [
        jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(state.key, 0), part), 1)
        for part in (0, 1)
    ]
    draws = [float(jax.random.uniform(key)) for key in keys]
    assert draws[0] != draws[1]
    np.testing.assert_allclose(after.model_state["drawn"], np.mean(draws), rtol=1e-6)


@pytest.mark.slow
@given(seed=st.integers(0, 2**31 - 1))
def test_the_norm_of_a_gradient_is_that_of_all_its_numbers(seed):
    rng = np.random.default_rng(seed)
    shapes = {"bias": (3,), "kernel": (4, 5), "scalar": (), "large": (2**8, 2**8 + 1)}
    tree = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    want = np.sqrt(sum(np.sum(np.float64(x) ** 2) for x in tree.values()))
    assert float(gradient_norm(tree)) == pytest.approx(want, rel=1e-5)
    for name, x in tree.items():
        bad = {**tree, name: x.at[(0,) * x.ndim].set(jnp.nan)}
        assert not np.isfinite(gradient_norm(bad))
        assert float(gradient_norm({name: x})) == pytest.approx(np.linalg.norm(x), rel=1e-5)
