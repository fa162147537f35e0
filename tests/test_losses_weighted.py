"""Any user's loss as a pair `(value, weight)`, and the mean of such pairs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds

from jrecipe import losses
from jrecipe.types import TaskError

X = jnp.arange(8.0).reshape(4, 2)
Y = jnp.arange(4.0)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda o, t: jnp.mean(o), ["shape ()", "drop the .mean()"]),
        (lambda o, t: 3.0, ["drop the .mean()"]),
        (lambda o, t: o[:, :1] - t[None], ["(4, 4)", "broadcast"]),
        (lambda o, t: o, ["(4, 2)", "average over every axis but the first"]),
        (lambda o, t: t[:2], ["(2,)", "4 examples"]),
        (lambda o, t: (t, t, t), ["3 values", "(value, weight)"]),
        (lambda o, t: (t, 1.0), ["weight"]),
        (lambda o, t: {"loss": t}, ["dict", "float32[b]"]),
        (lambda o, t: None, ["NoneType"]),
    ],
)
def test_a_loss_that_is_not_per_example_is_told_what_to_change(loss, words):
    with pytest.raises(TaskError) as error:
        jax.jit(lambda o, t: losses.weighted(loss, o, t))(X, Y)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_the_loss_is_called_by_its_name():
    def my_loss(outputs, targets):
        return jnp.mean(outputs)

    with pytest.raises(TaskError, match="my_loss"):
        losses.weighted(my_loss, X, Y)


def test_pytrees_and_other_dtypes_are_taken():
    loss = lambda o, t: (o["a"] > 1).astype(jnp.bfloat16)[:, 0]  # noqa: E731
    value, weight = losses.weighted(loss, {"a": X}, Y)
    assert (value.dtype, weight.dtype) == (jnp.float32, jnp.float32)
    assert value.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_outputs_need_an_example_axis():
    with pytest.raises(TaskError, match="axis 0"):
        losses.weighted(lambda o, t: t, jnp.float32(1.0), Y)


@pytest.mark.slow
@given(seed=seeds, padding=st.integers(1, 3), bad=st.sampled_from((np.nan, np.inf, 1e30)))
def test_padding_never_reaches_the_mean(seed, padding, bad):
    rng = generator(seed)
    value, weight = rng.normal(size=4), rng.integers(0, 5, 4).astype(np.float32)
    value[weight == 0] = bad
    pair = lambda o, t: (o, t)  # noqa: E731  the loss itself says the weights
    plain = losses.weighted(pair, value, weight)
    assert np.isfinite(plain[0]).all()
    longer = np.concatenate([value, np.full(padding, bad)])
    weights = np.concatenate([np.ones(4), np.zeros(padding)]).astype(np.float32)
    own = np.concatenate([weight, np.ones(padding, np.float32)])
    padded = losses.weighted(pair, longer, own, weights)
    np.testing.assert_array_equal(padded[1], own * weights)
    np.testing.assert_allclose(
        losses.weighted_mean(*padded), losses.weighted_mean(*plain), rtol=1e-6
    )
    gradient = jax.grad(lambda v: losses.weighted_mean(*losses.weighted(pair, v, own, weights)))(
        jnp.asarray(longer, jnp.float32)
    )
    total = max((own * weights).sum(), 1.0)
    np.testing.assert_allclose(gradient, own * weights / total, rtol=1e-6)


@given(seed=seeds, split=st.integers(1, 9))
def test_the_mean_does_not_depend_on_how_examples_are_batched(seed, split):
    rng = generator(seed)
    value, weight = rng.normal(size=10), rng.integers(1, 5, 10)
    parts = [slice(0, split), slice(split, 10)]
    sums = [(float(losses.weighted_mean(value[p], weight[p])), weight[p].sum()) for p in parts]
    joined = sum(m * w for m, w in sums) / weight.sum()
    np.testing.assert_allclose(losses.weighted_mean(value, weight), joined, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(joined, np.average(value, weights=weight), rtol=1e-5, atol=1e-6)


def test_the_mean_of_nothing_is_zero_with_a_zero_gradient():
    grad = jax.grad(losses.weighted_mean)(jnp.ones(3), jnp.zeros(3))
    assert float(losses.weighted_mean(jnp.ones(3), jnp.zeros(3))) == 0.0
    assert grad.tolist() == [0.0] * 3
