"""The laws of the losses: one contract over all of them, then what each knows of itself."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import balanced_labels, class_counts, generator, labels_of_all, scales, seeds

from jrecipe import losses
from jrecipe.types import TaskError

pytestmark = pytest.mark.thin(2)

B, C, L, T, PAD = 12, 5, 3, 4, 0


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return (
        x
        - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True))
        - x.max(-1, keepdims=True)
    )


def softmax_reference(outputs, targets, smoothing=0.0):
    soft = np.eye(outputs.shape[-1])[targets] * (1 - smoothing) + smoothing / outputs.shape[-1]
    return -(soft * log_softmax(outputs)).sum(-1)


def sigmoid_reference(outputs, targets):
    targets = np.asarray(targets, np.float64)
    outputs = np.asarray(outputs, np.float64).reshape(targets.shape)
    positive = log_softmax(np.stack([outputs, np.zeros_like(outputs)], -1))
    value = -(targets * positive[..., 0] + (1 - targets) * positive[..., 1])
    return value.reshape(len(value), -1).mean(1)


def huber_reference(outputs, targets, delta):
    e = np.abs(np.asarray(outputs, np.float64) - targets)
    return np.where(e <= delta, e**2 / 2, delta * e - delta**2 / 2).reshape(len(e), -1).mean(1)


def token_reference(outputs, targets):
    counted = targets != PAD
    nats = softmax_reference(outputs, targets) * counted
    return nats.sum(1) / np.maximum(counted.sum(1), 1), counted.sum(1)


@dataclasses.dataclass(frozen=True)
class Case:
    """A loss with float64 truth and a way to draw `(outputs, targets)`."""

    loss: losses.Loss
    reference: object
    targets: object  # rng -> targets
    shape: tuple[int, ...]


def draw_classes(rng):
    return labels_of_all(rng, C, B)


def draw_tokens(rng):
    tokens = rng.integers(1, C, (B, T))
    tokens[np.arange(T)[None] >= rng.integers(1, T + 1, B)[:, None]] = PAD
    tokens[0], tokens[1] = PAD, np.arange(T) + 1
    return tokens


CASES = {
    "softmax": Case(losses.softmax_cross_entropy(), softmax_reference, draw_classes, (C,)),
    "softmax-smooth": Case(
        losses.softmax_cross_entropy(0.1),
        lambda o, t: softmax_reference(o, t, 0.1),
        draw_classes,
        (C,),
    ),
    "sigmoid": Case(
        losses.sigmoid_cross_entropy(),
        sigmoid_reference,
        lambda rng: rng.permutation(np.arange(B) % 3 == 0).astype(np.float32),
        (),
    ),
    "sigmoid-column": Case(
        losses.sigmoid_cross_entropy(),
        sigmoid_reference,
        lambda rng: rng.random(B).astype(np.float32),
        (1,),
    ),
    "multilabel": Case(
        losses.multilabel_cross_entropy(),
        sigmoid_reference,
        lambda rng: rng.permuted(np.arange(B * L).reshape(B, L) % 2, axis=0),
        (L,),
    ),
    "l2": Case(
        losses.l2(),
        lambda o, t: (
            ((np.asarray(o, np.float64) - t.astype(np.float64)) ** 2).reshape(B, -1).mean(1)
        ),
        lambda rng: rng.normal(2.0, 3.0, (B, L)).astype(np.float32),
        (L,),
    ),
    "l2-column": Case(
        losses.l2(),
        lambda o, t: (np.asarray(o, np.float64)[:, 0] - t) ** 2,
        lambda rng: rng.normal(2.0, 3.0, B).astype(np.float32),
        (1,),
    ),
    "l1": Case(
        losses.l1(),
        lambda o, t: np.abs(np.asarray(o, np.float64) - t),
        lambda rng: rng.normal(2.0, 3.0, B).astype(np.float32),
        (),
    ),
    "huber": Case(
        losses.huber(0.7),
        lambda o, t: huber_reference(o, t, 0.7),
        lambda rng: rng.gamma(1.0, 3.0, (B, L)).astype(np.float32),
        (L,),
    ),
    "tokens": Case(losses.token_cross_entropy(pad=PAD), token_reference, draw_tokens, (T, C)),
}
each_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def drawn(case: Case, seed: int, scale: float = 2.0):
    rng = generator(seed)
    targets = case.targets(rng)
    return (rng.normal(size=(B, *case.shape)) * scale).astype(np.float32), targets


@pytest.mark.thin(10)
@each_loss
@given(seed=seeds)
def test_every_loss_gives_one_float32_per_example_and_equals_float64(case, seed):
    outputs, targets = drawn(case, seed)
    value, weight = losses.weighted(case.loss, outputs, targets)
    assert (value.shape, value.dtype) == ((B,), jnp.float32)
    assert (weight.shape, weight.dtype) == ((B,), jnp.float32)
    want = case.reference(outputs, targets)
    want, weights = want if isinstance(want, tuple) else (want, np.ones(B))
    np.testing.assert_allclose(value, want, rtol=2e-5, atol=2e-6)
    np.testing.assert_array_equal(weight, weights)


@each_loss
def test_half_precision_outputs_are_scored_in_float32(case):
    outputs, targets = drawn(case, 0)
    half = jnp.asarray(outputs, jnp.bfloat16)
    value, _ = losses.weighted(case.loss, half, targets)
    exact, _ = losses.weighted(case.loss, half.astype(jnp.float32), targets)
    assert value.dtype == jnp.float32
    np.testing.assert_array_equal(value, exact)


@pytest.mark.thin(10)
@each_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_gradients_stay_finite_far_out(case, size):
    outputs, targets = drawn(case, 1)
    mean = lambda o: losses.weighted_mean(*losses.weighted(case.loss, o, targets))  # noqa: E731
    value, grad = jax.value_and_grad(mean)(jnp.asarray(outputs * size))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


@pytest.mark.thin(6)
@each_loss
def test_the_loss_of_an_example_depends_on_that_example_only(case):
    outputs, targets = drawn(case, 2)
    per_example = lambda o: losses.weighted(case.loss, o, targets)[0]  # noqa: E731
    jacobian = np.asarray(jax.jacobian(per_example)(jnp.asarray(outputs))).reshape(B, B, -1)
    reaches = np.abs(jacobian).max(-1) > 0
    want = np.eye(B, dtype=bool)
    if case.loss.kind == "tokens":
        want[0, 0] = False  # row 0 is all padding
    np.testing.assert_array_equal(reaches, want)


@each_loss
@given(seed=seeds)
def test_examples_may_be_permuted(case, seed):
    outputs, targets = drawn(case, seed)
    order = generator(seed).permutation(B)
    value, weight = losses.weighted(case.loss, outputs, targets)
    permuted = losses.weighted(case.loss, outputs[order], targets[order])
    np.testing.assert_allclose(value[order], permuted[0], rtol=1e-6)
    np.testing.assert_array_equal(weight[order], permuted[1])


def mean_loss(case: Case, constant: np.ndarray, targets: np.ndarray) -> float:
    """The mean loss in float64 when each output is `constant`, by the reference."""
    value = case.reference(np.broadcast_to(constant, (B, *case.shape)), targets)
    value, weight = value if isinstance(value, tuple) else (value, np.ones(B))
    return float((value * weight).sum() / weight.sum())


@each_loss
@given(seed=seeds, scale=st.sampled_from((1e-3, 0.1, 1.0)))
def test_no_constant_output_beats_the_best_constant(case, seed, scale):
    _, targets = drawn(case, seed)
    best = case.loss.best_constant(targets, case.shape)
    assert best.shape == case.shape
    assert np.isfinite(best).all()
    uninformed = case.loss.uninformed(targets, case.shape)
    # Padding never occurs, but has an output, for which half an example stands in.
    absent = 0.5 if case.loss.kind == "tokens" else 0.0
    bound = np.log1p(absent / np.sum(targets != PAD)) + 1e-9
    np.testing.assert_allclose(uninformed, mean_loss(case, best, targets), rtol=1e-9)
    step = generator(seed).normal(size=case.shape[-1:]) * scale  # the same at every position
    assert mean_loss(case, best + step, targets) >= uninformed - bound


@each_loss
@given(seed=seeds)
def test_zero_outputs_and_any_constant_cost_what_the_law_says(case, seed):
    outputs, targets = drawn(case, seed)
    zero = case.loss.zero_outputs(targets, case.shape)
    np.testing.assert_allclose(
        zero, mean_loss(case, np.zeros(case.shape), targets), rtol=1e-9, atol=1e-12
    )
    constant = outputs[0].astype(np.float64)
    np.testing.assert_allclose(
        case.loss.constant_loss(constant, targets), mean_loss(case, constant, targets), rtol=1e-9
    )


@given(seed=seeds, classes=class_counts)
def test_loss_at_init_is_log_n_classes_when_balanced(seed, classes):
    targets = balanced_labels(generator(seed), classes, 3)
    loss = losses.softmax_cross_entropy()
    value = loss(jnp.zeros((len(targets), classes)), targets)
    np.testing.assert_allclose(value, np.log(classes), rtol=1e-6)
    np.testing.assert_allclose(loss.zero_outputs(targets, (classes,)), np.log(classes))
    np.testing.assert_allclose(loss.uninformed(targets, (classes,)), np.log(classes))


@given(seed=seeds, classes=class_counts)
def test_loss_of_the_log_prior_is_the_entropy_of_the_labels(seed, classes):
    targets = labels_of_all(generator(seed), classes, 60)
    shares = np.bincount(targets) / 60
    entropy = -(shares * np.log(shares)).sum()
    loss = losses.softmax_cross_entropy()
    best = loss.best_constant(targets, (classes,))
    np.testing.assert_allclose(loss.uninformed(targets, (classes,)), entropy, rtol=1e-12)
    np.testing.assert_allclose(best.sum(), 0.0, atol=1e-9)
    outputs = np.broadcast_to(best, (60, classes)).astype(np.float32)
    np.testing.assert_allclose(loss(outputs, targets).mean(), entropy, rtol=1e-5)


def test_an_absent_class_leaves_the_best_constant_finite():
    loss = losses.softmax_cross_entropy()
    targets = np.array([0, 0, 2, 2] * 25)
    best = loss.best_constant(targets, (4,))
    assert np.isfinite(best).all()
    np.testing.assert_allclose(best[0] - best[1], np.log(50 / 0.5))
    np.testing.assert_allclose(loss.uninformed(targets, (4,)), np.log(2), atol=0.011)
    constant = losses.sigmoid_cross_entropy().best_constant(np.ones(10), ())
    np.testing.assert_allclose(constant, np.log(19))


def test_known_answers_of_the_uninformed_losses():
    y = np.array([0.0, 0.0, 0.0, 8.0])
    assert losses.l2().best_constant(y, ()) == 2.0
    assert losses.l2().uninformed(y, ()) == 12.0
    assert losses.l1().best_constant(y, (1,)).tolist() == [0.0]
    assert losses.l1().uninformed(y, ()) == 2.0
    # slope 3 c - 1 = 0 where the far point pulls with delta = 1
    np.testing.assert_allclose(losses.huber(1.0).best_constant(y, ()), 1 / 3)
    labels = np.array([[1, 0], [0, 0], [1, 1], [1, 0]])
    quarter = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    np.testing.assert_allclose(losses.multilabel_cross_entropy().uninformed(labels, (2,)), quarter)
    tokens = np.array([[1, 2, 0, 0], [1, 2, 0, 0]])
    padded = losses.token_cross_entropy(pad=0)
    np.testing.assert_allclose(padded.uninformed(tokens, (4, 3)), np.log(2), atol=0.12)
    everything = losses.token_cross_entropy()
    np.testing.assert_allclose(everything.uninformed(tokens, (4, 3)), 1.5 * np.log(2))


@pytest.mark.parametrize("mass", [0.05, 0.3])
@given(seed=seeds)
def test_label_smoothing_has_a_floor_that_its_own_prior_reaches(mass, seed):
    loss = losses.softmax_cross_entropy(mass)
    soft = np.full(C, mass / C)
    soft[0] += 1 - mass
    floor = loss.floor(np.zeros(B, int), (C,))
    np.testing.assert_allclose(floor, -(soft * np.log(soft)).sum())
    np.testing.assert_allclose(loss(np.log(soft)[None], np.zeros(1, int)), floor, rtol=1e-5)
    outputs, targets = drawn(CASES["softmax"], seed)
    assert float(jnp.min(loss(outputs, targets))) >= floor - 1e-5


def test_soft_binary_labels_have_a_floor():
    loss = losses.sigmoid_cross_entropy()
    targets = np.array([0.2, 1.0, 0.0, 0.5])
    want = (-(0.2 * np.log(0.2) + 0.8 * np.log(0.8)) + np.log(2)) / 4
    np.testing.assert_allclose(loss.floor(targets, ()), want)
    assert losses.l2().floor(targets, ()) == 0.0


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", ["softmax", "softmax-smooth", "sigmoid", "multilabel", "l2"])
@given(seed=seeds, scale=scales)
def test_spread_cost_is_the_excess_of_outputs_that_know_nothing(name, seed, scale):
    case = CASES[name]
    rng = generator(seed)
    targets = np.concatenate([case.targets(rng) for _ in range(60)])
    centre = rng.normal(size=case.shape)
    outputs = (centre + scale * rng.normal(size=(len(targets), *case.shape))).astype(np.float32)
    value = np.asarray(case.loss(outputs, targets), np.float64)
    mean = outputs.astype(np.float64).mean(axis=0)
    lawful = case.loss.constant_loss(mean, targets) + case.loss.spread_cost(outputs)
    apart = value - np.asarray(case.loss(np.broadcast_to(mean, outputs.shape), targets))
    stderr = apart.std() / np.sqrt(len(targets))
    assert abs(value.mean() - lawful) <= 6 * stderr + 1e-5
    assert case.loss.spread_cost(outputs) >= -1e-12


@given(seed=seeds, scale=scales)
def test_spread_cost_of_a_softmax_is_about_half_the_variance(seed, scale):
    outputs = scale * generator(seed).normal(size=(4000, 10))
    cost = losses.softmax_cross_entropy().spread_cost(outputs)
    np.testing.assert_allclose(cost, 0.45 * scale**2, rtol=0.1 + 0.15 * scale, atol=1e-4)
    assert cost <= 0.55 * scale**2


@pytest.mark.parametrize("loss", [losses.l1(), losses.huber(0.5), losses.huber(5.0)])
@given(seed=seeds, scale=scales)
def test_spread_cost_bounds_the_excess_of_robust_losses(loss, seed, scale):
    rng = generator(seed)
    targets = rng.normal(size=50)
    outputs = rng.normal() + scale * rng.normal(size=64)
    every_pair = np.asarray(  # independent by construction: each output meets each target
        loss(jnp.repeat(jnp.asarray(outputs), 50), jnp.tile(jnp.asarray(targets), 64))
    )
    excess = every_pair.mean() - loss.constant_loss(outputs.mean(), targets)
    assert excess <= loss.spread_cost(outputs) + 1e-5


@functools.cache
def _token_grad(pad):
    loss = losses.token_cross_entropy(pad=pad)
    return jax.jit(jax.grad(lambda outputs, targets: loss(outputs, targets)[0].sum()))


@pytest.mark.slow
@pytest.mark.parametrize("pad", [-100, 0, 99])
@given(seed=seeds)
def test_padding_does_not_change_a_token_loss(pad, seed):
    extra = 2
    rng = generator(seed)
    logits = rng.normal(size=(3, T, C)).astype(np.float32)
    tokens = rng.integers(1, C, (3, T))
    longer = np.pad(tokens, ((0, 0), (0, extra)), constant_values=pad)
    noise = rng.normal(size=(3, extra, C)).astype(np.float32) * 100
    loss = losses.token_cross_entropy(pad=pad)
    plain = losses.token_cross_entropy()(logits, tokens)
    padded = loss(np.concatenate([logits, noise], 1), longer)
    np.testing.assert_allclose(plain[0], padded[0], rtol=1e-5)
    np.testing.assert_array_equal(plain[1], padded[1])
    grad = _token_grad(pad)(np.concatenate([logits, noise], 1), longer)
    assert not np.asarray(grad)[:, T:].any()


@pytest.mark.slow
def test_a_row_of_padding_is_finite_and_weighs_nothing():
    loss = losses.token_cross_entropy(pad=-100)
    value, weight = loss(jnp.full((1, 3, 4), 1e4), jnp.full((1, 3), -100))
    assert (value.tolist(), weight.tolist()) == ([0.0], [0.0])
    grad = jax.grad(lambda o: loss(o, jnp.full((1, 3), -100))[0].sum())(jnp.ones((1, 3, 4)))
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("name", ["sigmoid-column", "l2", "l1", "huber"])
def test_float_targets_get_gradients(name):
    outputs, targets = drawn(CASES[name], 5)
    loss = CASES[name].loss
    grad = jax.grad(lambda t: jnp.sum(loss(outputs, t)))(jnp.asarray(targets))
    assert np.isfinite(grad).all()
    assert np.asarray(grad).any()


def test_decisions():
    assert losses.softmax_cross_entropy().decide(np.eye(3)).tolist() == [0, 1, 2]
    assert losses.sigmoid_cross_entropy().decide(np.array([[2.0], [-1.0]])).tolist() == [1, 0]
    assert losses.multilabel_cross_entropy().decide(np.array([[2.0, -1]])).tolist() == [[1, 0]]
    assert losses.l2().decide(np.array([[2.5], [-1.0]])).tolist() == [2.5, -1.0]
    assert losses.token_cross_entropy().decide(np.eye(3)[None]).tolist() == [[0, 1, 2]]


def test_units():
    y = np.array([0.0, 0.0, 0.0, 8.0])
    assert losses.l2().unit(y, ()) == 12.0
    assert losses.l2().unit(np.ones(3), ()) == 1.0
    assert losses.softmax_cross_entropy().unit(np.array([0, 1]), (2,)) == 1.0


@each_loss
def test_losses_are_values(case):
    assert case.loss == dataclasses.replace(case.loss)
    assert hash(case.loss) == hash(dataclasses.replace(case.loss))
    assert case.loss != losses.softmax_cross_entropy(0.99)


SIGMOID, L2 = losses.sigmoid_cross_entropy(), losses.l2()


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "shapes"),
    [
        (SIGMOID, (4,), (4, 1), ("float32[4]", "float32[4,1]")),
        (SIGMOID, (4, 2), (4,), ("float32[4,2]", "float32[4]")),
        (L2, (4,), (4, 1), ("float32[4]", "float32[4,1]")),
        (L2, (4, 1), (1, 4), ("float32[4,1]", "float32[1,4]")),
        (L2, (4, 3), (4,), ("float32[4,3]", "float32[4]")),
        (L2, (4,), (5,), ("float32[4]", "float32[5]")),
        (losses.multilabel_cross_entropy(), (4,), (4,), ("float32[4]", "float32[4]")),
        (losses.softmax_cross_entropy(), (4, 3), (4, 2), ("float32[4,3]", "float32[4,2]")),
        (losses.softmax_cross_entropy(), (4, 3), (4,), ("float32[4,3]", "float32[4]")),
        (losses.token_cross_entropy(), (4, 3), (4,), ("float32[4,3]", "float32[4]")),
    ],
)
def test_shapes_that_do_not_fit_are_errors_at_trace_time(loss, outputs, targets, shapes):
    arguments = (
        jax.ShapeDtypeStruct(outputs, jnp.float32),
        jax.ShapeDtypeStruct(targets, jnp.float32),
    )
    with pytest.raises(TaskError) as error:
        jax.eval_shape(loss, *arguments)
    for shape in shapes:
        assert shape in str(error.value)
    assert "\n" not in str(error.value)


SOFTMAX, MULTI = losses.softmax_cross_entropy(), losses.multilabel_cross_entropy()
TOKENS = losses.token_cross_entropy(pad=0)


@pytest.mark.parametrize(
    ("loss", "targets", "shape", "words"),
    [
        (SOFTMAX, [0.0, 1.0], None, ["integer", "float64", ".astype(int)"]),
        (SOFTMAX, [[0, 1], [1, 0]], None, ["int[b]", "argmax"]),
        (SOFTMAX, [0, 1, -1, -2], None, ["-1 in row 2", "2 of 4"]),
        (SOFTMAX, [0, 1, 2, 12], (10,), ["12 in row 3", "10", "13 outputs"]),
        (SOFTMAX, [3, 3, 3], None, ["one class only", "3"]),
        (SOFTMAX, [0, 1], (4, 2), ["logits [b, c]"]),
        (SOFTMAX, ["cat", "dog"], None, ["integer"]),
        (SOFTMAX, {"y": [0, 1]}, None, ["dict"]),
        (SIGMOID, [0, 1, 2], None, ["2.0 in row 2", "softmax_cross_entropy"]),
        (SIGMOID, [0.0, np.nan], None, ["nan in row 1"]),
        (SIGMOID, [[0, 1], [1, 0]], None, ["multilabel_cross_entropy"]),
        (SIGMOID, [1, 1, 1], None, ["one class only"]),
        (SIGMOID, [0, 1], (2,), ["one shape"]),
        (MULTI, [0, 1], None, ["[b, l]", "sigmoid_cross_entropy"]),
        (MULTI, [[0, 1], [0, 3]], None, ["3.0 in row 1"]),
        (L2, [0.0, np.inf, 1.0], None, ["inf in row 1", "drop or impute"]),
        (L2, [2.0, 2.0], None, ["one value only"]),
        (L2, [1j, 2j], None, ["real"]),
        (L2, ["a", "b"], None, ["numbers"]),
        (L2, 3.0, None, ["axis 0"]),
        (L2, [[1.0, 2.0], [3.0, 4.0]], (3,), ["['b', 3]", "['b', 2]"]),
        (TOKENS, [[0, 0], [0, 0]], None, ["all padding"]),
        (TOKENS, [[1, 2], [-1, 0]], None, ["-1 in row 1"]),
        (TOKENS, [[1, 2], [9, 0]], (2, 5), ["9 in row 1", "10 outputs"]),
        (TOKENS, [1, 2], None, ["int[b, t]"]),
        (TOKENS, [[1, 1], [1, 0]], None, ["one token only"]),
        (TOKENS, [[1, 2], [1, 0]], (3, 5), ["one row of logits per position"]),
    ],
)
def test_bad_targets_get_one_line_with_name_value_and_way_out(loss, targets, shape, words):
    targets = targets if isinstance(targets, dict) else np.array(targets)
    with pytest.raises(TaskError) as error:
        loss.validate(targets, name="train targets", shape=shape)
    message = str(error.value)
    assert "\n" not in message
    for word in ["train targets", *words]:
        assert word in message, message


@each_loss
@given(seed=seeds)
def test_good_targets_are_accepted(case, seed):
    _, targets = drawn(case, seed)
    case.loss.validate(targets, shape=case.shape)
    case.loss.validate(jnp.asarray(targets), shape=case.shape)


def test_a_small_split_may_have_one_class_if_asked():
    losses.softmax_cross_entropy().validate(np.array([1, 1]), several=False)
    losses.softmax_cross_entropy().validate(np.array([1]))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: losses.softmax_cross_entropy(1.0), "1.0"),
        (lambda: losses.softmax_cross_entropy(-0.1), "-0.1"),
        (lambda: losses.huber(0.0), "0.0"),
        (lambda: losses.huber(float("nan")), "nan"),
        (lambda: losses.token_cross_entropy(pad=0.5), "0.5"),
        (lambda: losses.token_cross_entropy(pad=True), "True"),
    ],
)
def test_bad_options_are_named(make, word):
    with pytest.raises(TaskError, match=word):
        make()
