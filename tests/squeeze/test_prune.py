"""Pruned weights are 0 to the bit after every update, and as many as were asked for."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import pictures, plain
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.squeeze import Network, all_but_last, prune, sparsity

SHAPES = {"dense/kernel": (30, 4), "conv/kernel": (3, 3, 5, 6), "dense/bias": (4,)}


def drawn(rng, dtype=jnp.float32) -> dict:
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def run(tx, params, rng, steps: int):
    """Yields the parameters after each update with random gradients."""
    yield from (params for params, _ in states(tx, params, rng, steps))


def states(tx, params, rng, steps: int):
    """Yields the parameters and the optimiser's state after each update."""
    state, update = tx.init(params), jax.jit(tx.update)
    for _ in range(steps):
        grads = {name: jnp.asarray(rng.normal(size=w.shape), w.dtype) for name, w in params.items()}
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        yield params, state


@given(
    seed=seeds,
    share=st.sampled_from((0.0, 0.3, 0.5, 0.97)),
    dtype=st.sampled_from((jnp.float32, jnp.bfloat16)),
)
def test_after_the_last_pruning_exactly_the_share_is_zero_and_stays(seed, share, dtype):
    rng = generator(seed)
    before = optax.adamw(0.05, weight_decay=0.1)  # momentum and decay would move what is 0
    tx = optax.chain(before, prune(share, begin=1, end=5, every=2))
    gone = {name: np.zeros(SHAPES[name], bool) for name in ("dense/kernel", "conv/kernel")}
    for step, (params, state) in enumerate(states(tx, drawn(rng, dtype), rng, 9)):
        assert state[-1].kept["dense/bias"] is None
        for name, earlier in gone.items():
            now = ~np.asarray(state[-1].kept[name])
            assert not np.asarray(params[name])[now].any(), "not exactly 0"
            assert now[earlier].all(), "came back"
            if step >= 5:
                assert now.sum() == math.floor(share * now.size + 1e-9), (name, step)
            elif dtype == jnp.float32:  # bfloat16 is 0 by chance at times
                assert (np.asarray(params[name]) == 0).sum() == now.sum()
            gone[name] = now


def test_the_smallest_weights_go_and_the_others_move_as_without_it():
    rng = np.random.default_rng(0)
    params = drawn(rng)
    bare = next(run(optax.sgd(0.01), params, np.random.default_rng(1), 1))
    held = next(run(optax.chain(optax.sgd(0.01), prune(0.4, end=0)), params, rng_of(1), 1))
    for name in ("dense/kernel", "conv/kernel"):
        zeros = np.asarray(held[name] == 0)
        assert np.abs(bare[name])[zeros].max() <= np.abs(bare[name])[~zeros].min()
        np.testing.assert_array_equal(held[name][~zeros], bare[name][~zeros])
    np.testing.assert_array_equal(held["dense/bias"], bare["dense/bias"])


def rng_of(seed: int):
    return np.random.default_rng(seed)


def test_structured_takes_whole_outputs_those_with_the_smallest_norms():
    params = drawn(rng_of(0))
    tx = optax.chain(optax.adam(0.01), prune(0.5, begin=0, end=2, every=1, structured=True))
    *_, pruned = run(tx, params, rng_of(1), 5)
    for name, units in (("dense/kernel", 2), ("conv/kernel", 3)):
        columns = np.asarray(pruned[name]).reshape(-1, pruned[name].shape[-1])
        assert (columns == 0).all(axis=0).sum() == units
        assert (columns == 0).sum() == units * len(columns)


def test_the_share_rises_quickly_first_and_slowly_last():
    params = {"kernel": jnp.asarray(rng_of(0).normal(size=(100, 10)), jnp.float32)}
    tx = optax.chain(optax.sgd(0.0), prune(0.8, end=4, every=1))
    shares = [float((p["kernel"] == 0).mean()) for p in run(tx, params, rng_of(1), 6)]
    at = [0.8 * (1 - (1 - t / 4) ** 3) for t in range(5)]
    np.testing.assert_allclose(shares, [*at, at[-1]], atol=1e-3)


@pytest.mark.slow
def test_fit_trains_a_pruned_network_whose_sparsity_is_exact():
    train, val = pictures(128, 0), pictures(64, 1)
    tx = optax.chain(jr.regularize.adamw(1e-2, 0.1), prune(0.5, end=20, every=5))
    task = jr.Task(
        model=plain(),
        loss=jr.losses.softmax_cross_entropy(),
        train=train,
        val=val,
        optimizer=tx,
        batch_size=32,
    )
    fit = jr.fit(task, steps=60, progress=False)
    assert sparsity(fit.state.params) == 0.5
    assert fit.evaluate(best=False).metric > 0.8
    assert sparsity(jr.fit(task.replace(optimizer=optax.adam(1e-2)), steps=5).state.params) == 0.0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"share": 1.0}, r"share in \[0, 1\)"),
        ({"share": True}, r"share in \[0, 1\)"),
        ({"share": 0.5, "begin": -1}, "begin >= 0"),
        ({"share": 0.5, "begin": 9, "end": 3}, "end >= 9"),
        ({"share": 0.5, "every": 0}, "every >= 1"),
    ],
)
def test_other_values_are_refused(wrong, said):
    with pytest.raises(jr.TaskError, match=said):
        prune(**wrong)


def test_without_parameters_it_says_how_to_call_it():
    tx = prune(0.5)
    params = {"kernel": jnp.ones((2, 2))}
    with pytest.raises(jr.TaskError, match="opt_state, params"):
        tx.update(params, tx.init(params))


def test_the_last_layer_is_left_out_whatever_it_is_called():
    inputs = pictures(8, 0)[0]
    params, state = plain().init(jax.random.key(0), inputs)
    mask = all_but_last(Network(plain(), params, state), inputs)
    assert mask["first"]["kernel"]
    assert not mask["last"]["kernel"]

    def scaled(params, state, inputs, *, key=None, train=False):
        outputs, state = plain().apply(params, state, inputs)
        return outputs * params["last"]["bias"].sum(), state

    with pytest.raises(jr.TaskError, match="adds no bias to its outputs"):
        all_but_last(Network(jr.Model(plain().init, scaled), params, state), inputs)
