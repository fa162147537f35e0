"""Copies of a network side by side: more capacity, the same start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_tasks import batch_of, plain

import jrecipe as jr
from jrecipe.models.adapt import as_model
from jrecipe.models.copies import copies

pytestmark = pytest.mark.thin(2)

INPUTS = batch_of(8).inputs


def member(tree, i: int):
    return jax.tree.map(lambda x: x[i], tree)


@pytest.mark.exhaustive
@pytest.mark.parametrize("train", [False, True])
def test_outputs_are_the_scaled_sum_of_the_copies_each_with_its_own_noise(train):
    one, key = plain(dropout=0.5, norm=True), jax.random.key(7)
    three = copies(one, 3)
    params, state = three.init(jax.random.key(0), INPUTS)
    got, after = three.apply(params, state, INPUTS, key=key, train=train)
    parts = [
        one.apply(
            member(params, i), member(state, i), INPUTS, key=jax.random.fold_in(key, i), train=train
        )
        for i in range(3)
    ]
    np.testing.assert_allclose(got, sum(p[0] for p in parts) / 3**0.5, rtol=1e-5, atol=1e-6)
    for i, part in enumerate(parts):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6),
            member(after, i), part[1],
        )  # fmt: skip


@pytest.mark.slow
def test_copies_start_different_and_their_sum_as_spread_out_as_one():
    one = plain()
    params = copies(one, 64).init(jax.random.key(0), INPUTS)[0]
    assert len(np.unique(params["first"]["kernel"][:, 0, 0])) == 64

    matrix = jr.Model(
        lambda key, x: (jax.random.normal(key, (16, 4)), {}), lambda p, s, x, **_: (x @ p, s)
    )

    def spread(model):
        run = lambda key: model.apply(model.init(key, INPUTS)[0], {}, INPUTS)[0]  # noqa: E731
        return np.std(jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), 100)))

    np.testing.assert_allclose(spread(copies(matrix, 4)), spread(matrix), rtol=0.1)


@pytest.mark.exhaustive
def test_the_gradient_of_one_example_reaches_only_its_own_input():
    model = copies(plain(), 2)
    params, state = model.init(jax.random.key(0), INPUTS)
    gradient = jax.grad(lambda x: model.apply(params, state, x)[0][3].sum())(INPUTS)
    assert float(jnp.abs(gradient[3]).sum()) > 0
    np.testing.assert_array_equal(np.delete(gradient, 3, axis=0), 0)


@pytest.mark.exhaustive
def test_parts_can_be_switched_off_where_the_network_can_be_taken_apart():
    assert copies(plain(), 2).without is None
    model = copies(as_model(jr.models.MLP(4, width=8, dropout=0.5, head_init="lecun")), 2)
    params, state = model.init(jax.random.key(0), INPUTS)
    off = model.without("dropout").apply(params, state, INPUTS, key=jax.random.key(1), train=True)
    np.testing.assert_allclose(off[0], model.apply(params, state, INPUTS)[0], rtol=1e-5, atol=1e-6)
    assert "2 x" in model.name


def test_one_copy_is_the_network_and_none_is_an_error():
    one = plain()
    assert copies(one, 1) is one
    with pytest.raises(jr.TaskError, match="`count` >= 1, got count=0"):
        copies(one, 0)
