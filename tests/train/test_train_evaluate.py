"""Evaluation is the exact mean over every example, whatever the batch size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_tasks import pictures, plain
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.train.evaluate import mean_and_stderr

N = 23
MODEL = plain()
PARAMS = MODEL.init(jax.random.key(0), jnp.zeros((1, 16)))[0]
PREDICT = jax.jit(lambda params, inputs: MODEL.apply(params, {}, inputs)[0])
SOURCE = jr.data.as_source(pictures(N, 5))
LOSS = jr.losses.softmax_cross_entropy()


def weighing(outputs, targets):
    return outputs[:, 0], targets.astype(jnp.float32)


@given(size=st.sampled_from((1, 2, 7, 22, 23, 24, 1000)))
@example(size=1)
def test_the_result_does_not_depend_on_the_batch_size(size):
    got = jr.evaluate(PREDICT, PARAMS, SOURCE, LOSS, metric=jr.metrics.accuracy, batch_size=size)
    whole = jr.evaluate(PREDICT, PARAMS, SOURCE, LOSS, metric=jr.metrics.accuracy, batch_size=N)
    assert got.n == N
    assert got.values.shape == got.weights.shape == got.metric_values.shape == (N,)
    np.testing.assert_allclose(got.values, whole.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.loss, whole.loss, rtol=1e-6)
    np.testing.assert_allclose(got.loss_stderr, whole.loss_stderr, rtol=1e-5)
    assert got.metric == whole.metric


def test_known_numbers_and_their_standard_error():
    source = jr.data.as_source((np.array([[1.0], [2.0], [6.0]]), np.zeros(3)))
    got = jr.evaluate(lambda s, x: x[:, 0], None, source, lambda o, t: o - t, batch_size=2)
    assert got.loss == 3.0
    np.testing.assert_allclose(got.loss_stderr, np.std([1, 2, 6], ddof=1) / 3**0.5)
    assert np.isnan(got.metric)
    assert np.isnan(got.metric_stderr)
    assert got.metric_values.shape == (0,)
    assert got.outputs is None


@given(seed=seeds)
def test_the_standard_error_is_that_of_a_mean_and_blind_to_the_unit_of_weights(seed):
    rng = generator(seed)
    values, weights = rng.normal(size=20), rng.uniform(0.5, 2, size=20)
    mean, stderr = mean_and_stderr(values, np.ones(20))
    np.testing.assert_allclose((mean, stderr), (values.mean(), values.std(ddof=1) / 20**0.5))
    np.testing.assert_allclose(
        mean_and_stderr(values, weights), mean_and_stderr(values, 3 * weights), rtol=1e-12
    )
    padded = np.append(values, np.nan), np.append(weights, 0.0)
    np.testing.assert_allclose(mean_and_stderr(*padded), mean_and_stderr(values, weights))


def test_the_standard_error_of_a_weighted_mean_is_its_spread_over_draws():
    rng = generator(0)
    draws = []
    for _ in range(2000):
        weights = rng.integers(1, 9, size=50).astype(float)
        draws.append(mean_and_stderr(rng.normal(size=50), weights))
    means, stderrs = np.array(draws).T
    np.testing.assert_allclose(np.mean(stderrs), means.std(), rtol=0.08)


@pytest.mark.parametrize("size", [4, N])
def test_examples_count_by_the_weight_that_the_loss_gives_them(size):
    got = jr.evaluate(PREDICT, PARAMS, SOURCE, weighing, metric=weighing, batch_size=size)
    first = np.asarray(PREDICT(PARAMS, SOURCE.inputs))[:, 0]
    want = np.average(first, weights=SOURCE.targets)
    np.testing.assert_allclose((got.loss, got.metric), want, rtol=1e-5)
    np.testing.assert_array_equal(got.weights, SOURCE.targets)


def test_outputs_come_in_the_order_of_the_rows_without_padding():
    source = jr.data.as_source((np.arange(10.0)[:, None], np.zeros(10)))
    got = jr.evaluate(
        lambda s, x: {"same": x, "twice": 2 * x[:, 0]},
        None,
        source,
        lambda outputs, targets: outputs["twice"] - targets,
        batch_size=4,
        keep_outputs=True,
    )
    np.testing.assert_array_equal(got.outputs["same"][:, 0], np.arange(10))
    np.testing.assert_array_equal(got.outputs["twice"], 2 * np.arange(10))


def test_edges_one_example_nothing_weighed_and_a_loss_that_cannot_be_hashed():
    class Loss:
        __hash__ = None

        def __call__(self, outputs, targets):
            return outputs[:, 0] - targets

    one = jr.data.as_source((np.ones((1, 1)), np.zeros(1)))
    got = jr.evaluate(lambda s, x: x, None, one, Loss())
    assert got.loss == 1.0
    assert np.isnan(got.loss_stderr)
    nothing = jr.evaluate(lambda s, x: x, None, one, lambda o, t: (o[:, 0], 0 * t))
    assert np.isnan(nothing.loss)
