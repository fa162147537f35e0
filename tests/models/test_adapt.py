"""What the adapters take, what they refuse, and what they leave alone."""

from __future__ import annotations

import functools
import subprocess
import sys

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from networks import FEATURES, LinenNet, NnxNet, plain_net

from jrecipe.models import MLP, as_model
from jrecipe.types import Model, TaskError

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(5, FEATURES)).astype(np.float32)


def test_a_model_is_returned_as_it_is():
    model = plain_net()
    assert as_model(model) is model


class Sized(nnx.Module):
    def __init__(self, features, *, rngs):
        self.layer = nnx.Linear(FEATURES, features, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


@pytest.mark.parametrize(
    "factory",
    [
        lambda r: Sized(2, rngs=r),
        lambda *, rngs: Sized(2, rngs=rngs),
        functools.partial(Sized, 2),
        functools.partial(Sized, features=2),
    ],
)
def test_nnx_factories_may_be_functions_classes_and_partials(factory):
    model = as_model(factory)
    assert model.apply(*model.init(KEY, X), X)[0].shape == (5, 2)


def test_names_for_reports():
    assert as_model(LinenNet()).name == "LinenNet"
    assert as_model(lambda rngs: NnxNet(rngs=rngs)).name == "NnxNet"


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (None, ["NoneType", "jr.Model(init, apply)"]),
        (3, ["int 3", "NNX factory"]),
        (LinenNet, ["class LinenNet", "LinenNet()"]),
        (Sized, ["class Sized", "lambda rngs"]),
        ((lambda k, x: x, lambda p, s, x: x), ["tuple of 2", "jr.Model(init, apply)"]),
        ([1, 2, 3], ["list of 3"]),
        (lambda params, x: x, ["<lambda>(params, x)", "jr.Model(init, apply)"]),
        (lambda x: x, ["Rngs", "jr.Model(init, apply)"]),
        (NnxNet(rngs=nnx.Rngs(0)), ["NNX module NnxNet", "lambda rngs"]),
        ("mlp", ["str 'mlp'"]),
    ],
)
def test_anything_else_is_named_with_a_way_out(thing, words):
    with pytest.raises(TaskError) as error:
        as_model(thing)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("network", [LinenNet(), NnxNet])
def test_only_known_parts_can_be_switched_off(network):
    with pytest.raises(TaskError, match=r"'noise'.*batch_statistics"):
        as_model(network).without("noise")


def telling(argument):
    scope = {"nn": nn, "jnp": jnp}
    source = f"class Tells(nn.Module):\n  def __call__(self, x, {argument}):\n    return "
    value = argument.split("=")[0].split(":")[0]
    exec(source + f"jnp.float32({value}) + 0 * x", scope)
    return scope["Tells"]()


@pytest.mark.parametrize(
    ("argument", "in_training"),
    [
        ("train", 1.0),
        ("train=True", 1.0),
        ("training: bool = False", 1.0),
        ("is_training", 1.0),
        ("deterministic=True", 0.0),
        ("use_running_average", 0.0),
    ],
)
def test_every_convention_for_the_mode_is_served(argument, in_training):
    model = as_model(telling(argument))
    params, state = model.init(KEY, jnp.float32(0))
    assert (params, state) == ({}, {})
    assert float(model.apply(params, state, jnp.float32(0), train=True)[0]) == in_training
    assert float(model.apply(params, state, jnp.float32(0))[0]) == 1.0 - in_training


class Broken(nn.Module):
    def __call__(self, x, train: bool = False):
        raise KeyError("inside the network")


class BrokenNnx(nnx.Module):
    def __init__(self, rngs):
        self.scale = nnx.Param(jnp.ones(()))

    def __call__(self, x):
        raise KeyError("inside the network")


def broken_factory(rngs):
    raise KeyError("inside the network")


def test_exceptions_of_the_network_are_passed_on_untouched():
    with pytest.raises(KeyError, match="inside the network"):
        as_model(Broken()).init(KEY, X)
    model = as_model(BrokenNnx)
    with pytest.raises(KeyError, match="inside the network"):
        model.apply(*model.init(KEY, X), X)
    with pytest.raises(KeyError, match="inside the network"):
        as_model(broken_factory)


class Noisy(nn.Module):
    """Draws from a stream of its own name; a fault if it does so in evaluation."""

    always: bool = False

    @nn.compact
    def __call__(self, x, train: bool = False):
        if train or self.always:
            x = x + jax.random.normal(self.make_rng("noise"), x.shape)
        return x


class NoisyNnx(nnx.Module):
    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(x, deterministic=False)


def test_streams_of_any_name_are_drawn_from_the_key():
    model = as_model(Noisy())
    one = model.apply({}, {}, X, key=jax.random.key(1), train=True)[0]
    two = model.apply({}, {}, X, key=jax.random.key(2), train=True)[0]
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(model.apply({}, {}, X)[0], X)


@pytest.mark.parametrize("network", [Noisy(always=True), NoisyNnx])
def test_randomness_in_evaluation_shows_with_the_key(network):
    model = as_model(network)
    variables = model.init(KEY, X)
    one = model.apply(*variables, X, key=jax.random.key(1))[0]
    assert not np.array_equal(one, model.apply(*variables, X, key=jax.random.key(2))[0])
    np.testing.assert_array_equal(model.apply(*variables, X)[0], model.apply(*variables, X)[0])


@pytest.mark.parametrize("network", [MLP(3, dropout=0.5), NnxNet])
def test_training_without_a_key_is_not_silently_the_same_noise(network):
    model = as_model(network)
    variables = model.init(KEY, X)
    with pytest.raises((TaskError, flax.errors.InvalidRngError), match=r"key|PRNG"):
        model.apply(*variables, X, train=True)


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, inputs):
        return nn.Dense(2)(inputs["image"]) + nn.Dense(2)(inputs["extra"][0])


def test_a_pytree_of_inputs_is_one_argument():
    inputs = {"image": X, "extra": (X, X)}
    model = as_model(TwoInputs())
    assert model.apply(*model.init(KEY, inputs), inputs)[0].shape == (5, 2)


class Attends(nn.Module):
    @nn.compact
    def __call__(self, x, *, deterministic: bool = True):
        layer = nn.MultiHeadDotProductAttention(2, dropout_rate=0.5)
        return layer(x, x, deterministic=deterministic)


class AttendsNnx(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.MultiHeadAttention(
            num_heads=2, in_features=4, dropout_rate=0.5, decode=False, rngs=rngs
        )

    def __call__(self, x):
        return self.layer(x)


@pytest.mark.exhaustive
@pytest.mark.parametrize("network", [Attends(), AttendsNnx])
def test_dropout_inside_attention_is_switched_off_too(network):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    model = as_model(network)
    variables = model.init(KEY, x)
    one, two = jax.random.split(KEY)
    run = lambda m, k: np.asarray(m.apply(*variables, x, key=k, train=True)[0])  # noqa: E731
    assert not np.array_equal(run(model, one), run(model, two))
    off = model.without("dropout")
    np.testing.assert_array_equal(run(off, one), run(off, two))
    np.testing.assert_allclose(run(off, one), model.apply(*variables, x)[0], rtol=1e-5, atol=1e-6)


class Keeps(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(FEATURES, 2, rngs=rngs)

    def __call__(self, x):
        y = self.layer(x)
        self.seen = nnx.Intermediate(y)
        return y


def test_variables_that_appear_in_a_call_are_not_state():
    model = as_model(Keeps)
    params, state = model.init(KEY, X)
    _, after = model.apply(params, state, X, train=True)
    assert state == after == {}


def test_a_factory_is_never_changed_by_training():
    kept = []

    def factory(rngs):
        kept.append(NnxNet(rngs=rngs))
        return kept[-1]

    model = as_model(factory)
    params, state = model.init(KEY, X)
    before = np.asarray(kept[-1].norm.mean[...])
    model.apply(params, state, X, key=KEY, train=True)
    np.testing.assert_array_equal(kept[-1].norm.mean[...], before)
    assert "mean" in state["norm"]


def test_as_model_of_a_model_does_not_import_flax():
    code = (
        "import sys; from jrecipe.models.adapt import as_model; from jrecipe.types import Model;"
        "as_model(Model(init=print, apply=print)); sys.exit('flax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_model_is_a_dataclass_of_functions():
    assert isinstance(as_model(LinenNet()), Model)
