"""What holds for the shipped networks: the loss at initialisation, dtypes, sizes, messages."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from networks import shipped
from strategies import balanced_labels, class_counts, generator, labels_of_all, seeds

from jrecipe import losses
from jrecipe.models import MLP, ConvNet, Linear, as_model
from jrecipe.types import TaskError

NAMES = tuple(shipped(2))
LOSS = losses.softmax_cross_entropy()


@functools.cache
def outputs_at_init(name, classes, head_init):
    module, shape = shipped(classes, head_init=head_init)[name]
    model = as_model(module)

    def run(key, inputs, bias):
        params, state = model.init(key, inputs[:1])
        params["output"]["dense"]["bias"] += bias
        return model.apply(params, state, inputs)[0]

    return shape, run  # not compiled: that would be once per number of classes


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, classes=class_counts)
def test_loss_at_init_is_log_n_classes_for_balanced_targets(name, seed, classes):
    shape, run = outputs_at_init(name, classes, "zeros")
    rng = generator(seed)
    targets = balanced_labels(rng, classes, 60 // classes + 1)[:60]
    outputs = run(jax.random.key(seed), rng.normal(size=(60, *shape)), np.zeros(classes))
    np.testing.assert_allclose(LOSS(outputs, targets).mean(), np.log(classes), rtol=1e-5)


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, classes=class_counts)
def test_loss_at_init_is_the_entropy_of_the_prior_with_its_bias(name, seed, classes):
    shape, run = outputs_at_init(name, classes, "zeros")
    rng = generator(seed)
    targets = labels_of_all(rng, classes, 60)
    shares = np.bincount(targets) / 60
    bias = LOSS.best_constant(targets, (classes,)).astype(np.float32)
    outputs = run(jax.random.key(seed), rng.normal(size=(60, *shape)), bias)
    entropy = -(shares * np.log(shares)).sum()
    np.testing.assert_allclose(LOSS(outputs, targets).mean(), entropy, rtol=1e-5)


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds, classes=class_counts)
def test_loss_at_init_with_a_random_head_is_lawful(name, seed, classes):
    shape, run = outputs_at_init(name, classes, "lecun")
    rng = generator(seed)
    targets = labels_of_all(rng, classes, 60)
    outputs = run(jax.random.key(seed), rng.normal(size=(60, *shape)), np.zeros(classes))
    mean = np.asarray(outputs, np.float64).mean(0)
    lawful = LOSS.constant_loss(mean, targets) + LOSS.spread_cost(outputs)
    value = np.asarray(LOSS(outputs, targets), np.float64)
    apart = value - np.asarray(LOSS(np.tile(mean, (60, 1)).astype(np.float32), targets))
    assert abs(value.mean() - lawful) <= 6 * apart.std() / np.sqrt(60) + 1e-4


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["mlp", "convnet-norm"])
def test_half_precision_keeps_parameters_and_outputs_in_float32(name):
    full, shape = shipped(3, head_init="lecun")[name]
    half = full.clone(dtype=jnp.bfloat16)
    x = generator(0).normal(size=(4, *shape)).astype(np.float32)
    params, state = as_model(half).init(jax.random.key(0), x)
    assert {leaf.dtype for leaf in jax.tree.leaves((params, state))} == {np.dtype("float32")}
    outputs = as_model(half).apply(params, state, x)[0]
    exact = as_model(full).apply(params, state, x)[0]
    assert outputs.dtype == jnp.float32
    np.testing.assert_allclose(outputs, exact, rtol=0.1, atol=0.1)
    assert not np.array_equal(outputs, exact)


def count(module, shape):
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, *shape)))["params"]
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def test_sizes_follow_width_and_depth():
    assert count(Linear(10), (8, 8)) == 64 * 10 + 10
    assert count(MLP(10, width=5, depth=2), (3,)) == 3 * 5 + 5 + 5 * 5 + 5 + 5 * 10 + 10
    assert count(MLP(10, width=5, depth=0), (3,)) == count(Linear(10), (3,))
    stage = (9 * 1 * 4 + 4) + (9 * 4 * 8 + 8)
    assert count(ConvNet(10, width=4, depth=1), (8, 8, 1)) == stage + 8 * 10 + 10
    flat = count(ConvNet(10, width=4, depth=1, head="flatten"), (8, 8, 1))
    assert flat == stage + 4 * 4 * 8 * 10 + 10


@pytest.mark.thin(3)
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 5, 1), (8, 8, 3), (28, 28, 1), (32, 40, 3)])
@pytest.mark.parametrize("head", ["gap", "flatten"])
def test_convnet_takes_pictures_of_many_sizes(shape, head):
    module = ConvNet(3, width=2, depth=1, head=head)
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((2, *shape)))
    outputs = jax.eval_shape(module.apply, variables, jnp.zeros((2, *shape), jnp.uint8))
    assert (outputs.shape, outputs.dtype) == ((2, 3), jnp.float32)


@pytest.mark.parametrize("module", [Linear, MLP, ConvNet])
def test_squeeze_gives_one_number_per_example(module):
    x = jnp.ones((2, 4, 4, 1))
    model = as_model(module(1, squeeze=True))
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    assert jax.eval_shape(model.apply, *shapes, x)[0].shape == (2,)


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (ConvNet(3), (2, 8, 8), ["(2, 8, 8)", "x[..., None]"]),
        (ConvNet(3, head="max"), (2, 8, 8, 1), ["'max'", "gap"]),
        (MLP(3, squeeze=True), (2, 4), ["outputs=3"]),
        (MLP(3, head_init="ones"), (2, 4), ["'ones'", "zeros"]),
    ],
)
def test_bad_options_are_named(module, shape, words):
    with pytest.raises(TaskError) as error:
        module.init(jax.random.key(0), jnp.ones(shape))
    for word in words:
        assert word in str(error.value)
