"""Dropout of features, channels, branches: off at 0, mean 1, variance r / (1 - r), whole units."""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

import jrecipe as jr
from jrecipe.models import MLP, Dropout, SpatialDropout, StochasticDepth

SHAPE = (40, 4, 3, 50)  # examples, rows, columns, channels
LAYERS = {
    # layer -> how many of the numbers share a draw: those of a mask's axis of length 1
    "dropout": (Dropout, SHAPE),
    "spatial": (SpatialDropout, (40, 1, 1, 50)),
    "depth": (StochasticDepth, (40, 1, 1, 1)),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


@jax.jit
def _masks(key, rate):
    drop = lambda layer: layer(rate).apply(  # noqa: E731
        {}, jnp.ones(SHAPE), deterministic=False, rngs={"dropout": key}
    )
    return {name: drop(layer) for name, (layer, _) in LAYERS.items()}


def masks(seed: int, rate: float) -> dict[str, np.ndarray]:
    """What each layer makes of ones."""
    found = _masks(jax.random.key(seed), rate)
    return {name: np.asarray(x, np.float64) for name, x in found.items()}


@pytest.mark.thin(2)
@each_layer
@given(seed=seeds, rate=st.sampled_from((0.1, 0.5, 0.8)))
def test_the_expectation_is_1_and_the_variance_r_over_1_minus_r(name, seed, rate):
    mask = masks(seed, rate)[name]
    np.testing.assert_allclose(np.unique(mask), [0, 1 / (1 - rate)], rtol=1e-6)
    n = math.prod(LAYERS[name][1])  # independent draws
    variance = rate / (1 - rate)
    assert abs(mask.mean() - 1) < 5 * math.sqrt(variance / n)
    # The variance is p (1 - p) / (1 - r)^2 of a share p kept: its slope in p gives its error.
    slope = abs(1 - 2 * rate) / (1 - rate) ** 2
    bound = 5 * slope * math.sqrt(rate * (1 - rate) / n) + 25 * rate / (1 - rate) / n
    assert abs(mask.var() - variance) < bound


@each_layer
@given(seed=seeds)
def test_whole_units_are_dropped_and_each_by_a_draw_of_its_own(name, seed):
    mask, own = masks(seed, 0.5)[name], LAYERS[name][1]
    first = mask[tuple(slice(0, size) for size in own)]
    np.testing.assert_array_equal(mask, np.broadcast_to(first, SHAPE))
    for axis, size in enumerate(own):  # along every axis that is not shared, draws differ
        if size > 1:
            assert (np.diff(first, axis=axis) != 0).any()
    flat = first.reshape(own[0], -1)
    if flat.shape[1] > 1:  # every example has a mask of its own
        assert len(np.unique(flat, axis=0)) == len(flat)


@pytest.mark.thin(2)
@each_layer
def test_at_rate_0_and_in_evaluation_nothing_changes(name):
    layer, _ = LAYERS[name]
    x = jax.random.normal(jax.random.key(0), SHAPE)
    key = {"dropout": jax.random.key(1)}
    np.testing.assert_array_equal(layer(0.0, deterministic=False).apply({}, x, rngs=key), x)
    np.testing.assert_array_equal(layer(0.5, deterministic=True).apply({}, x), x)
    np.testing.assert_array_equal(layer(0.5).apply({}, x, deterministic=True), x)
    traced = jax.jit(lambda r: layer(r).apply({}, x, deterministic=False, rngs=key))
    np.testing.assert_array_equal(traced(0.0), x)
    assert not np.array_equal(traced(0.5), x)


@pytest.mark.exhaustive
def test_other_ranks_are_taken():
    key = {"dropout": jax.random.key(0)}
    text = SpatialDropout(0.5, False).apply({}, jnp.ones((4, 7, 30)), rngs=key)
    np.testing.assert_array_equal(text, text[:, :1] + jnp.zeros_like(text))
    flat = SpatialDropout(0.5, False).apply({}, jnp.ones((4, 30)), rngs=key)
    assert 0 < float((flat == 0).mean()) < 1
    branch = StochasticDepth(0.5, False).apply({}, jnp.ones((64, 3)), rngs=key)
    assert set(np.unique(np.asarray(branch).sum(axis=1))) == {0.0, 6.0}


@pytest.mark.thin(3)
@each_layer
def test_masks_do_not_depend_on_the_layout(name):
    layer, _ = LAYERS[name]
    mesh = jax.sharding.Mesh(jax.devices()[:2], "batch")
    cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))

    def drop(x):
        return layer(0.5).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(3)})

    x = jnp.ones(SHAPE)
    both = jax.block_until_ready(jax.jit(drop, in_shardings=cut, out_shardings=cut)(x))
    assert len(both.sharding.device_set) == 2
    np.testing.assert_array_equal(both, jax.jit(drop)(x))


class Residual(nn.Module):
    """One residual block with every kind of dropout."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        branch = SpatialDropout(0.5)(nn.Dense(8)(x), deterministic=not train)
        x = nn.Dense(8)(x) + StochasticDepth(0.5)(branch, deterministic=not train)
        return nn.Dense(2)(x.mean(axis=(1, 2)))


@pytest.mark.exhaustive
def test_they_can_be_taken_out_of_a_network():
    model = jr.models.as_model(Residual())
    x = jax.random.normal(jax.random.key(0), (6, 3, 3, 4))
    params, state = model.init(jax.random.key(1), x)
    run = lambda model, **mode: np.asarray(model.apply(params, state, x, **mode)[0])  # noqa: E731
    still, training = run(model), {"key": jax.random.key(2), "train": True}
    assert not np.array_equal(run(model, **training), still)
    np.testing.assert_array_equal(run(model.without("dropout"), **training), still)


def test_inputs_of_an_mlp_are_dropped():
    net = MLP(1, depth=0, head_init=nn.initializers.ones, input_dropout=0.2)
    x = jnp.ones((4, 2000))
    variables = net.init(jax.random.key(0), x)
    key = {"dropout": jax.random.key(1)}
    sums = np.asarray(net.apply(variables, x, train=True, rngs=key))[:, 0] / 2000
    assert (abs(sums - 1) < 5 * (0.25 / 2000) ** 0.5).all()
    assert len(set(sums.tolist())) > 1  # every example has a mask of its own
    np.testing.assert_array_equal(net.apply(variables, x)[:, 0], 2000.0)


@pytest.mark.exhaustive
def test_dropout_on_the_inputs_leaves_the_draws_of_hidden_units_as_they_were():
    def hidden(rate):
        net = MLP(2, width=500, depth=1, dropout=0.5, input_dropout=rate)
        x = jnp.ones((1, 3))
        variables = net.init(jax.random.key(0), x)
        variables["params"]["dense0"]["bias"] += 10.0  # no ReLU is off
        _, seen = net.apply(
            variables,
            x,
            train=True,
            rngs={"dropout": jax.random.key(1)},
            capture_intermediates=lambda module, _: module.name == "Dropout_0",
        )
        return np.asarray(seen["intermediates"]["Dropout_0"]["__call__"][0]) == 0

    np.testing.assert_array_equal(hidden(0.0), hidden(0.4))
