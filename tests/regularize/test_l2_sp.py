"""L2-SP pulls towards the start, new weights towards zero, and resumes where it was."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_identical, plain, small
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.regularize import l2_sp


def trees(seed: int) -> tuple[dict, dict]:
    """Returns starting weights and other weights of the same shapes."""
    rng = generator(seed)
    draw = lambda: {  # noqa: E731
        "body": {"kernel": jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)},
        "head": {"kernel": jnp.asarray(rng.normal(size=(4, 2)), jnp.float32), "bias": jnp.ones(2)},
    }
    return draw(), draw()


@pytest.mark.slow
@given(seed=seeds, weight=st.floats(0.01, 2.0), new=st.floats(0.01, 2.0))
def test_it_adds_the_gradient_of_its_penalty(seed, weight, new):
    start, params = trees(seed)
    del start["head"]  # the head is new
    tx = l2_sp(start, weight, new_weight=new)

    def penalty(p):
        near = jnp.sum((p["body"]["kernel"] - start["body"]["kernel"]) ** 2)
        return weight / 2 * near + new / 2 * jnp.sum(p["head"]["kernel"] ** 2)

    grads = jax.tree.map(jnp.cos, params)
    got, _ = tx.update(grads, tx.init(params), params)
    want = jax.tree.map(jnp.add, grads, jax.grad(penalty)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), got, want)


def test_a_head_of_another_shape_is_new():
    start, params = trees(0)
    start["head"]["kernel"] = jnp.ones((4, 7))
    tx = l2_sp(start, 1.0)
    got, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_array_equal(got["head"]["kernel"], 0.0)
    assert float(jnp.abs(got["body"]["kernel"]).min()) > 0


def test_without_a_gradient_weights_return_to_the_start():
    start, params = trees(1)
    tx = optax.chain(l2_sp(start, 1.0), optax.sgd(0.5))
    state, still = tx.init(params), jax.tree.map(jnp.zeros_like, params)
    for _ in range(40):
        updates, state = tx.update(still, state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params["body"]["kernel"], start["body"]["kernel"], atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_training_stays_nearer_and_a_resumed_run_is_the_same(tmp_path):
    start = plain().init(jax.random.key(5), jnp.zeros((1, 16)))[0]
    model = jr.Model(lambda key, inputs: (start, {}), plain().apply)

    def run(weight, steps=20, **options):
        tx = optax.chain(l2_sp(start, weight), optax.adam(0.03))
        task = small(model=model, optimizer=tx, frozen=("last/bias",))
        return jr.fit(task, steps, eval_every=5, progress=False, **options)

    def distance(fit):
        gap = jax.tree.map(lambda a, b: jnp.sum((a - b) ** 2), fit.state.params, start)
        return float(sum(jax.tree.leaves(gap)))

    free, pulled = run(0.0), run(1.0)
    assert distance(pulled) < 0.5 * distance(free)
    run(1.0, 10, out=tmp_path)
    assert_identical(run(1.0, out=tmp_path, resume=True).state, pulled.state)


def test_bad_arguments_say_what_to_do():
    start, params = trees(0)
    with pytest.raises(jr.TaskError, match=r"l2_sp needs a finite weight >= 0, got -1.*; try"):
        l2_sp(start, -1.0)
    with pytest.raises(jr.TaskError, match=r"none of the parameters; they have other/kernel, the"):
        l2_sp({"other": {"kernel": jnp.ones((3, 4))}}, 1.0).init(params)
    tx = l2_sp(start, 1.0)
    state = tx.init(params)
    with pytest.raises(jr.TaskError, match=r"tx\.update\(grads, opt_state, params\)"):
        tx.update(params, state)
