"""One contract over every shipped network, and over Linen, NNX and plain functions."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import EVERY, WRITTEN
from strategies import generator, keys, seeds

from jrecipe import losses
from jrecipe.models import as_model

B = 6
each_network = pytest.mark.parametrize("name", EVERY)
with_dropout = pytest.mark.parametrize("name", [*WRITTEN, "mlp", "convnet"])
with_norm = pytest.mark.parametrize("name", [*WRITTEN, "convnet-norm"])
dismantled = [name for name in WRITTEN if name != "plain"]


@functools.cache
def made(name, *without):
    """Returns jitted `init(key, inputs)`, `evaluate(...)`, `train(..., key)` of a network."""
    model = as_model(EVERY[name][0])
    inner = model.without(*without) if without else model
    evaluate = jax.jit(lambda p, s, x, k: inner.apply(p, s, x, key=k))
    train = jax.jit(lambda p, s, x, k: inner.apply(p, s, x, key=k, train=True))
    return jax.jit(model.init), evaluate, train


def inputs_of(name, seed):
    return generator(seed).normal(size=(B, *EVERY[name][1])).astype(np.float32)


def same(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.thin(8)
@each_network
@given(seed=seeds)
def test_init_is_a_function_of_the_key(name, seed):
    init, _, _ = made(name)
    x = inputs_of(name, seed)
    key, other = jax.random.split(jax.random.key(seed))
    assert same(init(key, x), init(key, x))
    assert not same(init(key, x)[0], init(other, x)[0])


@pytest.mark.thin(3)
@each_network
def test_parameters_are_a_nested_dict_of_float32(name):
    params, state = made(name)[0](jax.random.key(0), inputs_of(name, 0))
    assert isinstance(params, dict)
    assert isinstance(state, dict)
    for leaf in jax.tree.leaves((params, state)):
        assert leaf.dtype == jnp.float32


@pytest.mark.thin(6)
@each_network
@given(seed=seeds)
def test_evaluation_is_deterministic_ignores_the_key_and_keeps_the_state(name, seed):
    init, evaluate, _ = made(name)
    x = inputs_of(name, seed)
    variables = init(jax.random.key(seed), x)
    first, state = evaluate(*variables, x, jax.random.key(1))
    again, _ = evaluate(*variables, x, jax.random.key(2))
    none, _ = evaluate(*variables, x, None)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(first, none, rtol=1e-5, atol=1e-6)
    assert same(state, variables[1])
    assert (first.shape[0], first.dtype) == (B, jnp.float32)


@pytest.mark.thin(6)
@with_dropout
@given(key=keys)
def test_training_draws_dropout_from_the_key_alone(name, key):
    init, _, train = made(name)
    x = inputs_of(name, 0)
    variables = init(jax.random.key(0), x)
    one, two = jax.random.split(key)
    first = train(*variables, x, one)
    assert same(first, train(*variables, x, one))
    assert not np.array_equal(first[0], train(*variables, x, two)[0])


@with_norm
@given(seed=seeds)
def test_batch_statistics_move_in_training_by_the_momentum(name, seed):
    init, _, train = made(name)
    x = inputs_of(name, seed) + 3
    params, state = init(jax.random.key(seed), x)
    _, after = train(params, state, x, jax.random.key(0))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert not same(after, state)
    _, further = train(params, after, x, jax.random.key(0))
    # Same batch: each step goes a tenth of the way that is left.
    for a, b, c in zip(*map(jax.tree.leaves, (state, after, further)), strict=True):
        np.testing.assert_allclose(c - b, 0.9 * (b - a), rtol=1e-3, atol=1e-5)


@pytest.mark.thin(3)
@pytest.mark.parametrize("name", [*dismantled, "convnet"])
@given(key=keys)
def test_without_dropout_training_ignores_the_key(name, key):
    init, _, train = made(name, "dropout")
    x = inputs_of(name, 0)
    variables = init(jax.random.key(0), x)
    one, two = jax.random.split(key)
    assert same(train(*variables, x, one), train(*variables, x, two))


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", [*dismantled, "convnet-norm"])
@given(seed=seeds, row=st.integers(0, B - 1))
def test_without_batch_statistics_examples_are_isolated_in_training(name, seed, row):
    init, _, train = made(name, "batch_statistics")
    x = inputs_of(name, seed)
    variables = init(jax.random.key(seed), x)
    changed = x.copy()
    changed[row] = 5.0
    key = jax.random.key(seed)
    before, state = train(*variables, x, key)
    after, _ = train(*variables, changed, key)
    rest = np.arange(B) != row
    np.testing.assert_array_equal(np.asarray(before)[rest], np.asarray(after)[rest])
    assert same(state, variables[1])
    if name in dismantled:  # and with them, they do mix
        mixed = made(name)[2]
        one, two = mixed(*variables, x, key)[0], mixed(*variables, changed, key)[0]
        assert not np.array_equal(np.asarray(one)[rest], np.asarray(two)[rest])


@pytest.mark.thin(3)
@pytest.mark.parametrize("name", [*dismantled, "mlp", "convnet-norm"])
def test_without_both_training_equals_evaluation(name):
    init, evaluate, train = made(name, "dropout", "batch_statistics")
    x = inputs_of(name, 3)
    variables = init(jax.random.key(3), x)
    np.testing.assert_allclose(
        train(*variables, x, jax.random.key(0))[0],
        evaluate(*variables, x, None)[0],
        rtol=1e-5,
        atol=1e-6,
    )


@functools.cache
def gradient(name):
    model, loss = as_model(EVERY[name][0]), losses.softmax_cross_entropy()

    def one(x, variables, targets, i):
        return loss(model.apply(*variables, x)[0], targets)[i]

    return jax.jit(jax.grad(one))


@pytest.mark.thin(5)
@each_network
@given(seed=seeds, i=st.integers(0, B - 1))
def test_the_gradient_of_one_examples_loss_reaches_only_its_input(name, seed, i):
    x = inputs_of(name, seed)
    variables = made(name)[0](jax.random.key(seed), x)
    targets = generator(seed).integers(0, 4, B)
    grad = np.asarray(gradient(name)(x, variables, targets, i)).reshape(B, -1)
    reached = np.abs(grad).max(1) > 0
    assert not reached[np.arange(B) != i].any()
    assert reached[i] or name == "mlp" or name in WRITTEN  # few ReLUs may all be off


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", ["linen-call", "nnx", "plain", "convnet-norm"])
def test_networks_run_inside_scan_and_vmap(name):
    model = as_model(EVERY[name][0])
    x = inputs_of(name, 0)

    def arm(key):
        params, state = model.init(key, x)

        def step(carry, k):
            outputs, after = model.apply(params, carry, x, key=k, train=True)
            return after, outputs.mean()

        return jax.lax.scan(step, state, jax.random.split(key, 3))

    _, means = jax.jit(jax.vmap(arm))(jax.random.split(jax.random.key(0), 2))
    assert means.shape == (2, 3)
    assert np.isfinite(means).all()
