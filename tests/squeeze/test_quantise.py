"""8 bits and thin matrices: how far a weight moves, how small a file gets, in which networks."""

from __future__ import annotations

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import pictures, plain
from squeezed_networks import inputs_of, network, odd
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.squeeze import (
    Network,
    low_rank,
    network_of,
    quantise,
    quantise_activations,
    quantise_aware,
)
from jrecipe.squeeze.packed import Int8, LowRank, stored_bytes, unpacked


def needs_qwix(test):
    """Skips a test without qwix; 0.1.8 asks flax for a name that flax has taken away."""
    missing = importlib.util.find_spec("qwix") is None
    quiet = pytest.mark.filterwarnings("ignore:'VariableState' was removed:DeprecationWarning")
    return pytest.mark.skipif(missing, reason="needs qwix, the extra `quantise`")(quiet(test))


@given(seed=seeds, size=st.sampled_from((1e-6, 1.0, 1e4)))
def test_no_weight_moves_by_more_than_half_the_scale_of_its_output(seed, size):
    weight = jnp.asarray(size * generator(seed).normal(size=(3, 3, 5, 4)), jnp.float32)
    weight = weight.at[..., 1].set(0.0)  # an output without weights keeps them
    packed = quantise(Network(plain(), {"kernel": weight, "bias": weight[0, 0, 0]})).params
    assert isinstance(packed["kernel"], Int8)
    assert packed["kernel"].values.dtype == jnp.int8
    back = np.asarray(unpacked(packed)["kernel"], np.float64)
    scale = np.abs(np.asarray(weight, np.float64)).max(axis=(0, 1, 2)) / 127
    assert (np.abs(back - weight) <= 0.5001 * scale).all()
    assert not back[..., 1].any()
    np.testing.assert_array_equal(packed["bias"], weight[0, 0, 0])


def linen():
    inputs = inputs_of(40, 8, 8, 1)
    return network(jr.models.ConvNet(10, width=16, depth=1), inputs), inputs


def nnx_network():
    inputs = inputs_of(40, 6)
    return network(lambda rngs: nnx.Linear(6, 50, rngs=rngs), inputs), inputs


def functions():
    inputs = inputs_of(40, 16)
    return network(plain(), inputs), inputs


@pytest.mark.parametrize(
    "make", [linen, nnx_network, functions, pytest.param(odd, marks=pytest.mark.slow)]
)
def test_any_network_takes_packed_weights_and_answers_nearly_alike(make):
    original, inputs = make()
    whole = jax.tree.map(np.asarray, original(inputs))
    for small in (quantise(original), quantise(low_rank(original, 0.999))):
        near = small(inputs)
        for want, got in zip(jax.tree.leaves(whole), jax.tree.leaves(near), strict=True):
            assert np.abs(want - got).max() < 0.1 * np.abs(want).max()
            assert (want != got).any(), "nothing was rounded"
    assert stored_bytes(quantise(original).params) < 0.6 * stored_bytes(original.params)


def test_a_quarter_of_the_size_where_weights_are_most_of_it():
    original, _ = linen()
    assert stored_bytes(quantise(original).params) < 0.3 * stored_bytes(original.params)


def test_low_rank_is_exact_where_the_weight_is_and_leaves_what_would_grow():
    rng = np.random.default_rng(0)
    thin = (rng.normal(size=(40, 3)) @ rng.normal(size=(3, 30))).astype(np.float32)
    params = {"thin": thin, "square": rng.normal(size=(4, 4)).astype(np.float32), "bias": thin[0]}
    packed = low_rank(Network(plain(), params), 3).params
    assert isinstance(packed["thin"], LowRank)
    np.testing.assert_allclose(unpacked(packed)["thin"], thin, atol=1e-4)
    assert packed["square"] is params["square"]
    assert packed["bias"] is params["bias"]
    assert low_rank(Network(plain(), params), 0.9999).params["thin"].left.shape == (40, 3)
    lossy = unpacked(low_rank(Network(plain(), params), 1).params)["thin"]
    assert np.abs(lossy - thin).max() > 0.1


@pytest.mark.parametrize("keep", [0, -1, 1.5, 0.0, True, "half"])
def test_low_rank_refuses_what_is_no_rank(keep):
    with pytest.raises(jr.TaskError, match="rank >= 1 or a share"):
        low_rank(functions()[0], keep)


def test_a_function_keeps_its_numbers_to_itself():
    with pytest.raises(jr.TaskError, match="without parameters"):
        quantise(network_of(lambda inputs: inputs * 2.0))
    with pytest.raises(jr.TaskError, match="needs a Fit"):
        network_of(3)


def tuned(activations: bool = False):
    task = jr.Task(
        model=quantise_aware(jr.models.MLP(4, width=16), activations=activations),
        loss=jr.losses.softmax_cross_entropy(),
        train=pictures(256, 0),
        val=pictures(128, 1),
        optimizer=optax.adam(1e-2),
        batch_size=64,
    )
    return jr.fit(task, steps=60, progress=False)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_training_that_foresees_8_bits_loses_nothing_to_them():
    fit = tuned()
    assert fit.evaluate().metric > 0.8
    plain_model = jr.models.as_model(jr.models.MLP(4, width=16))
    rounded = quantise(Network(plain_model, fit.best.params))
    inputs = pictures(64, 2)[0]
    np.testing.assert_allclose(rounded(inputs), fit.predict(inputs), atol=1e-5)
    kept = plain_model.apply(fit.best.params, {}, inputs)[0]
    assert np.abs(kept - fit.predict(inputs)).max() > 1e-4, "it was not rounded while training"


@needs_qwix
def test_qwix_computes_layers_in_8_bits_and_answers_nearly_alike():
    inputs = inputs_of(32, 8, 8, 1)
    original = network(jr.models.MLP(10, width=16), inputs)
    small = quantise_activations(original, inputs)
    assert stored_bytes(small.params) < 0.5 * stored_bytes(original.params)
    whole, near = np.asarray(original(inputs)), np.asarray(small(inputs))
    assert 0 < np.abs(whole - near).max() < 0.1 * np.abs(whole).max()
    alone = np.concatenate([small(inputs[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(alone, near[:3], atol=1e-5)  # a scale for each example


@pytest.mark.slow
@needs_qwix
def test_qwix_trains_with_rounded_activations():
    assert tuned(activations=True).evaluate().metric > 0.8


@needs_qwix
def test_qwix_says_where_it_finds_no_layers():
    original, inputs = functions()
    with pytest.raises(jr.TaskError, match="use quantise, which packs"):
        quantise_activations(original, inputs)
