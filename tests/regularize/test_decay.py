"""Weight decay moves matrices and nothing else, in every framework's parameters."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import assert_identical, plain
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.regularize import adamw, add_l2, decay_mask


def decaying(params, **options) -> set[str]:
    """Returns the names of the parameters that decay."""
    mask = jax.tree_util.tree_leaves_with_path(decay_mask(params, **options))
    return {jax.tree_util.keystr(p, simple=True, separator="/") for p, decays in mask if decays}


class Words(nn.Module):
    """An embedding, a convolution, three kinds of normalisation, a layer stacked by `vmap`."""

    @nn.compact
    def __call__(self, ids):
        x = nn.LayerNorm()(nn.Embed(7, 4, name="table")(ids))
        x = x + self.param("pos_embedding", nn.initializers.normal(), (5, 4))[None]
        x = nn.GroupNorm(2)(nn.Conv(4, (3,), name="embed_patches")(x))
        how = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
        stacked = nn.vmap(nn.Dense, **how, in_axes=None, axis_size=2)(3, name="stacked")
        return nn.BatchNorm(use_running_average=True)(stacked(x).sum(0))


def test_linen_names_and_shapes_are_understood():
    shapes = jax.eval_shape(Words().init, jax.random.key(0), jnp.zeros((2, 5), jnp.int32))
    params = shapes["params"]
    assert params["stacked"]["bias"].ndim == 2
    assert decaying(params) == {"embed_patches/kernel", "stacked/kernel"}
    more = {"table/embedding", "pos_embedding"}
    assert decaying(params, embeddings=True) == {"embed_patches/kernel", "stacked/kernel"} | more


def test_nnx_names_are_understood_as_a_model_and_as_they_are():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(7, 4, rngs=rngs)
            self.norm = nnx.BatchNorm(4, rngs=rngs)
            self.last = nnx.Linear(4, 2, rngs=rngs)

        def __call__(self, x):
            return self.last(self.norm(self.table(x)))

    params, _ = jr.models.as_model(Net).init(jax.random.key(0), jnp.zeros((2,), jnp.int32))
    assert decaying(params) == {"last/kernel"}
    state = nnx.state(Net(nnx.Rngs(0)), nnx.Param)
    names = [name.replace("/value", "") for name in decaying(state)]
    assert names == ["last/kernel"]


OTHERS = {
    "plain": ({"W1": (3, 2), "b1": (2,), "b2": (1, 2), "gain": ()}, {"W1"}),
    "haiku": ({"linear": {"w": (3, 2), "b": (2,)}, "layer_norm": {"scale": (2,)}}, {"linear/w"}),
    "torch": (
        {
            "wte": {"weight": (9, 3)},
            "patch_embed": {"proj": {"weight": (3, 2)}},
            "ln_1": {"weight": (4, 3), "bias": (4, 3)},
            "relative_position_bias_table": (9, 2),
            "cls_token": (1, 1, 3),
        },
        {"patch_embed/proj/weight"},
    ),
    "a list": ([{"weight": (3, 2), "bias": (2,)}, {"norm": {"weight": (2, 2)}}], {"0/weight"}),
    "a matrix": ((3, 2), {""}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_names_of_other_frameworks_are_understood(name):
    shapes, want = OTHERS[name]
    params = jax.tree.map(np.zeros, shapes, is_leaf=lambda x: type(x) is tuple)
    assert decaying(params) == want


def test_counters_do_not_decay():
    assert decaying({"kernel": np.zeros((2, 2), np.int32)}) == set()


def shaken(module, seed: int) -> jr.Model:
    """Returns a network whose parameters all start away from 0 and 1, so that decay shows."""
    model = jr.models.as_model(module)

    def init(key, inputs):
        params, state = model.init(key, inputs)
        rng = generator(seed)
        move = lambda x: x + jnp.asarray(0.5 + rng.random(x.shape), x.dtype)  # noqa: E731
        return jax.tree.map(move, params), state

    return dataclasses.replace(model, init=init)


def steady(optimizer, seed: int, steps: int, module=None) -> jr.Fit:
    """Trains on a loss without a gradient: what moves is decay alone."""
    rng = generator(seed)
    data = (rng.normal(size=(16, 8, 8, 1)).astype(np.float32), np.arange(16) % 2)
    net = jr.models.ConvNet(2, width=2, depth=1, norm=True) if module is None else module
    task = jr.Task(
        model=shaken(net, seed),
        loss=lambda outputs, targets: 0.0 * outputs.sum(axis=1),
        train=data,
        val=data,
        optimizer=optimizer,
        batch_size=8,
    )
    return jr.fit(task, steps, seed=seed % 97, eval_every=steps, progress=False)


@pytest.mark.exhaustive
@pytest.mark.slow
@settings(max_examples=2)
@given(seed=seeds, decay=st.sampled_from((0.1, 0.5)))
def test_in_training_only_kernels_decay_and_by_the_law(seed, decay):
    rate, steps = 0.1, 3
    run = steady(adamw(rate, weight_decay=decay), seed, steps)
    before, after = run.best.params, run.state.params
    start = jax.tree_util.tree_leaves_with_path(before)
    names, moved = [], []
    for (path, a), b in zip(start, jax.tree.leaves(after), strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        names.append(name)
        if name.endswith("kernel"):
            moved.append(name)
            np.testing.assert_allclose(b, a * (1 - rate * decay) ** steps, rtol=1e-5)
        else:  # biases, and scales and biases of BatchNorm
            np.testing.assert_array_equal(a, b)
    assert {name.split("/")[-1] for name in names} == {"kernel", "bias", "scale"}
    assert len(moved) == 3


def test_without_the_mask_they_would():
    params = {"norm": {"scale": jnp.ones(3)}}
    for mask, want in ((None, 0.95), (decay_mask, 1.0)):
        tx = adamw(0.1, weight_decay=0.5, mask=mask)
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        moved = optax.apply_updates(params, updates)["norm"]["scale"]
        np.testing.assert_allclose(moved, want, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda w: adamw(0.1, w), lambda w: optax.chain(
    add_l2(w), optax.adam(0.1))])  # fmt: skip
def test_no_decay_is_adam(make):
    params = plain().init(jax.random.key(0), jnp.zeros((1, 16)))[0]
    grads = jax.tree.map(jnp.cos, params)
    tx, adam = make(0.0), optax.adam(0.1)
    got = tx.update(grads, tx.init(params), params)[0]
    assert_identical(got, adam.update(grads, adam.init(params), params)[0])


@given(seed=seeds, weight=st.floats(1e-3, 1.0))
def test_coupled_decay_is_the_gradient_of_the_penalty(seed, weight):
    rng = generator(seed)
    params = {"kernel": jnp.asarray(rng.normal(size=(3, 2))), "bias": jnp.asarray(rng.normal(2))}
    tx = add_l2(weight)
    zero = jax.tree.map(jnp.zeros_like, params)
    got = tx.update(zero, tx.init(params), params)[0]
    penalty = jax.grad(lambda p: weight / 2 * jnp.sum(p["kernel"] ** 2))(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), got, penalty)


def test_coupled_and_decoupled_decay_differ_where_gradients_do():
    # Through Adam, L2 hardly shrinks a weight with a large gradient; decoupled decay does.
    params = {"kernel": jnp.ones((1, 2))}
    noisy = jnp.array([[100.0, 0.01]])
    ends = []
    for tx in (adamw(0.01, 0.1), optax.chain(add_l2(0.1), optax.adam(0.01))):
        at, state = params, tx.init(params)
        for i in range(200):
            updates, state = tx.update({"kernel": noisy * (-1.0) ** i}, state, at)
            at = optax.apply_updates(at, updates)
        ends.append(1 - np.asarray(at["kernel"][0]))
    decoupled, coupled = ends
    np.testing.assert_allclose(decoupled[0], decoupled[1], rtol=0.2)
    assert coupled[0] < 0.05 * coupled[1]


@pytest.mark.parametrize("bad", [-1e-3, float("nan"), float("inf"), True, "0.1", np.ones(2)])
def test_strengths_that_are_none_are_errors(bad):
    for make, name in ((add_l2, "weight"), (lambda w: adamw(1e-3, w), "weight_decay")):
        with pytest.raises(jr.TaskError, match=f"needs a finite {name} >= 0, got .*; try"):
            make(bad)


def test_a_traced_strength_is_taken():
    params = {"kernel": jnp.ones((2, 2))}

    def first(weight):
        tx = adamw(1.0, weight)
        return tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)[0]

    assert jax.jit(first)(0.25)["kernel"].ravel().tolist() == [-0.25] * 4
