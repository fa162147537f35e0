"""Metrics are exact, per example, and higher is better."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds

from jrecipe import losses, metrics
from jrecipe.types import TaskError

B, C, T = 9, 4, 5


def draw(rng, name):
    """Returns outputs, targets and the metric in NumPy: float64[b], and weights."""
    ones = np.ones(B)
    logits = rng.normal(size=(B, C)).astype(np.float32)
    if name == "accuracy":
        y = rng.integers(0, C, B)
        return logits, y, np.array([o.argmax() == t for o, t in zip(logits, y, strict=True)]), ones
    if name == "binary_accuracy":
        y = rng.integers(0, 2, B)
        return logits[:, :1], y, (logits[:, 0] > 0) == y, ones
    if name == "multilabel_accuracy":
        y = rng.integers(0, 2, (B, C))
        return logits, y, ((logits > 0) == y).mean(1), ones
    if name == "token_accuracy":
        outputs = rng.normal(size=(B, T, C)).astype(np.float32)
        y = np.where(rng.random((B, T)) < 0.3, -1, rng.integers(0, C, (B, T)))
        y[0] = -1
        counted = (y != -1).sum(1)
        right = ((outputs.argmax(-1) == y) & (y != -1)).sum(1)
        return outputs, y, right / np.maximum(counted, 1), counted
    y = rng.normal(size=(B, C)).astype(np.float32)
    error = logits.astype(np.float64) - y
    power = np.abs(error) if name == "negative_absolute_error" else error**2
    return logits, y, -power.mean(1), ones


METRICS = {
    "accuracy": metrics.accuracy,
    "binary_accuracy": metrics.binary_accuracy,
    "multilabel_accuracy": metrics.multilabel_accuracy,
    "token_accuracy": metrics.token_accuracy(-1),
    "negative_absolute_error": metrics.negative_absolute_error,
    "negative_squared_error": metrics.negative_squared_error,
}
each_metric = pytest.mark.parametrize("name", METRICS)


@pytest.mark.thin(4)
@each_metric
@given(seed=seeds)
def test_every_metric_equals_numpy(name, seed):
    outputs, targets, want, weights = draw(generator(seed), name)
    value, weight = losses.weighted(METRICS[name], outputs, targets)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    np.testing.assert_array_equal(weight, weights)
    assert value.dtype == jnp.float32
    mean = (want * weights).sum() / weights.sum()
    np.testing.assert_allclose(losses.weighted_mean(value, weight), mean, rtol=1e-5)


@pytest.mark.thin(2)
@each_metric
@given(seed=seeds)
def test_perfect_outputs_score_best(name, seed):
    outputs, targets, _, _ = draw(generator(seed), name)
    best = 1.0
    if name in ("accuracy", "token_accuracy"):
        perfect = jax.nn.one_hot(jnp.asarray(targets), C)
    elif name.startswith("negative"):
        perfect, best = jnp.asarray(targets), 0.0
    else:
        perfect = (jnp.asarray(targets) - 0.5).reshape(outputs.shape)
    value, weight = losses.weighted(METRICS[name], perfect, targets)
    assert float(losses.weighted_mean(value, weight)) == best
    worse, _ = losses.weighted(METRICS[name], outputs, targets)
    assert np.all(np.asarray(worse) <= best)


@each_metric
def test_metrics_jit_and_have_names(name):
    outputs, targets, _, _ = draw(generator(0), name)
    assert METRICS[name].__name__ == name
    compiled = jax.tree.leaves(jax.jit(METRICS[name])(outputs, targets))
    for a, b in zip(compiled, jax.tree.leaves(METRICS[name](outputs, targets)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        (losses.softmax_cross_entropy(0.1), metrics.accuracy),
        (losses.sigmoid_cross_entropy(), metrics.binary_accuracy),
        (losses.multilabel_cross_entropy(), metrics.multilabel_accuracy),
        (losses.l2(), metrics.negative_squared_error),
        (losses.l1(), metrics.negative_absolute_error),
        (losses.huber(), metrics.negative_absolute_error),
        (losses.token_cross_entropy(pad=-1), metrics.token_accuracy(-1)),
        (lambda outputs, targets: targets, None),
    ],
)
def test_every_loss_has_its_metric_and_a_users_own_has_none(loss, metric):
    assert metrics.for_loss(loss) is metric


@pytest.mark.parametrize("name", METRICS)
@given(extra=st.sampled_from(((), (1,))))
def test_shapes_that_do_not_fit_are_errors(name, extra):
    outputs, targets, _, _ = draw(generator(0), name)
    with pytest.raises(TaskError, match=name):
        METRICS[name](outputs, np.zeros((len(targets) + 1, *targets.shape[1:], *extra)))
