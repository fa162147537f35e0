"""Where an answer starts and ends: the value, the laws, the decision."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import generator, seeds

from jrecipe import losses, metrics
from jrecipe.types import TaskError

B, T = 16, 6
LOSS = losses.span_cross_entropy()


def draw(seed: int, scale: float = 2.0):
    rng = generator(seed)
    spans = np.sort(rng.integers(0, T, (B, 2)), axis=1)
    spans[:T] = np.arange(T)[:, None]  # every position occurs
    return (rng.normal(size=(B, T, 2)) * scale).astype(np.float32), spans.astype(np.int32)


def reference(logits, spans):
    """Returns the mean cross-entropy of both sides, float64[b]."""
    logits = np.asarray(logits, np.float64)
    log_chance = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    rows = np.arange(len(spans))
    return -(log_chance[rows, spans[:, 0], 0] + log_chance[rows, spans[:, 1], 1]) / 2


@given(seed=seeds)
def test_the_value_is_the_mean_of_start_and_end(seed):
    logits, spans = draw(seed)
    value = LOSS(logits, spans)
    assert (value.shape, value.dtype) == ((B,), jnp.float32)
    np.testing.assert_allclose(value, reference(logits, spans), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_half_precision_is_scored_in_float32_and_gradients_stay_finite():
    logits, spans = draw(0)
    half = jnp.asarray(logits, jnp.bfloat16)
    np.testing.assert_array_equal(LOSS(half, spans), LOSS(half.astype(jnp.float32), spans))
    masked = jnp.asarray(logits).at[:, 4:].set(-1e9)
    value, grad = jax.value_and_grad(lambda o: LOSS(o, np.minimum(spans, 3)).mean())(masked)
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    assert not np.asarray(grad)[:, 4:].any()


@given(seed=seeds)
def test_the_laws_are_those_of_the_reference(seed):
    logits, spans = draw(seed)
    shape = (T, 2)
    everywhere = lambda constant: np.broadcast_to(constant[None], (B, T, 2))  # noqa: E731
    best = LOSS.best_constant(spans, shape)
    uninformed = LOSS.uninformed(spans, shape)
    np.testing.assert_allclose(uninformed, reference(everywhere(best), spans).mean())
    shares = [np.bincount(side, minlength=T) / B for side in spans.T]
    np.testing.assert_allclose(uninformed, np.mean([-(p * np.log(p)).sum() for p in shares]))
    np.testing.assert_allclose(
        LOSS.constant_loss(logits[0], spans), reference(everywhere(logits[0]), spans).mean()
    )
    assert LOSS.constant_loss(best + logits[0] / 10, spans) > uninformed - 1e-9
    np.testing.assert_allclose(LOSS.zero_outputs(spans, shape), np.log(T))


@given(seed=seeds)
def test_spread_cost_is_the_excess_of_outputs_that_know_nothing(seed):
    logits, spans = draw(seed)
    # Independent by construction: each output meets each target.
    pairs = reference(np.repeat(logits, B, 0), np.tile(spans, (B, 1))).mean()
    lawful = LOSS.constant_loss(logits.astype(np.float64).mean(0), spans) + LOSS.spread_cost(logits)
    np.testing.assert_allclose(pairs, lawful, rtol=1e-6)


def test_masked_padding_leaves_the_laws_an_upper_bound():
    _, spans = draw(1)
    lengths = np.maximum(spans[:, 1] + 1, generator(1).integers(1, T + 1, B))
    masked = np.arange(T)[None] >= lengths[:, None]
    outputs = np.where(masked[:, :, None], -1e9, np.zeros((B, T, 2))).astype(np.float32)
    assert masked.any()
    high = LOSS.constant_loss(outputs.mean(0), spans) + LOSS.spread_cost(outputs)
    np.testing.assert_allclose(high, np.log(T))
    assert 0 < float(LOSS(outputs, spans).mean()) < high


@given(seed=seeds)
def test_the_decision_is_the_best_of_all_spans(seed):
    logits, _ = draw(seed)
    for longest in (2, 30):
        spans = [(0, 0)] + [
            (i, j) for i, j in itertools.product(range(1, T), repeat=2) if i <= j < i + longest
        ]
        got = losses.span_cross_entropy(longest).decide(logits)
        assert got.dtype == jnp.int32
        for row, answer in zip(logits, got.tolist(), strict=True):
            score = {s: row[s[0], 0] + row[s[1], 1] for s in spans}
            assert tuple(answer) == max(score, key=score.__getitem__)


def test_its_metric_asks_for_both_ends():
    logits, _ = draw(2)
    metric = metrics.for_loss(LOSS)
    decided = np.asarray(LOSS.decide(logits))
    half = decided + np.array([[0, 1]])
    value = metric(logits, np.where(np.arange(B)[:, None] % 2, decided, half))
    assert value.tolist() == [0.0, 1.0] * (B // 2)
    with pytest.raises(TaskError, match="span_accuracy"):
        metric(logits, decided[:, 0])


@pytest.mark.parametrize(
    ("targets", "shape", "words"),
    [
        ([[0, 0], [3, 2]], None, ["2 in row 1", "ends no earlier"]),
        ([[0, 0], [-1, 2]], None, ["-1 in row 1"]),
        ([[0, 0], [2, 6]], (6, 2), ["6 in row 1", "number of tokens, 6"]),
        ([[0, 0], [2, 3]], (6,), ["SpanFinder"]),
        ([[0, 0, 1]], None, ["int[b, 2]"]),
        ([0, 1], None, ["shape"]),
        ([[0.5, 1.0]], None, ["integer"]),
        ([[1, 2], [1, 2]], None, ["one span only", "(1, 2)"]),
    ],
)
def test_bad_spans_get_one_line(targets, shape, words):
    with pytest.raises(TaskError) as error:
        LOSS.validate(np.array(targets), "train targets", shape)
    for word in ["train targets", *words]:
        assert word in str(error.value), error.value
    assert "\n" not in str(error.value)


def test_good_spans_are_accepted_and_what_does_not_fit_is_named():
    logits, spans = draw(0)
    LOSS.validate(spans, shape=(T, 2))
    LOSS.validate(spans[:1])
    for outputs, targets in (
        (logits, spans[:, :1]),
        (logits[..., :1], spans),
        (logits, spans * 1.0),
    ):
        with pytest.raises(TaskError, match=r"logits \[b, t, 2\]"):
            LOSS(outputs, targets)
    for bad in (0, 2.5, True):
        with pytest.raises(TaskError, match="longest"):
            losses.span_cross_entropy(bad)
