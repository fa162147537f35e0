"""The likelihood of sequences of tags: a token cross-entropy where transitions say nothing."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import generator, seeds

from jrecipe import losses, metrics
from jrecipe.losses import chain
from jrecipe.types import TaskError

B, W, NAMES = 6, 5, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
K = len(NAMES)
TOKENS = losses.token_cross_entropy(pad=-1)
# Compiled once: a scan that runs by itself is compiled at every call.
nats_per_word = jax.jit(losses.crf())
log_partition = jax.jit(chain.log_partition)
decide = jax.jit(losses.crf().decide)
decide_bio2 = jax.jit(losses.crf(NAMES).decide)


@jax.jit
def slope(outputs, tags):
    return jax.value_and_grad(
        lambda e: losses.weighted_mean(*losses.crf()({**outputs, "emissions": e}, tags))
    )(outputs["emissions"])


def draw(seed: int, transitions: float = 1.0):
    """Returns outputs of a tagger and tags; row 0 has no word."""
    rng = generator(seed)
    lengths = np.append(0, rng.integers(1, W + 1, B - 1))
    mask = np.arange(W)[None] < lengths[:, None]
    one = {"transitions": (K, K), "start": (K,), "end": (K,)}
    outputs = {
        name: np.broadcast_to(transitions * rng.normal(size=shape), (B, *shape)).astype(np.float32)
        for name, shape in one.items()
    }
    outputs["emissions"] = rng.normal(size=(B, W, K)).astype(np.float32)
    outputs["mask"] = mask
    return outputs, np.where(mask, rng.integers(0, K, (B, W)), -1).astype(np.int32)


@pytest.mark.slow
@given(seed=seeds)
def test_without_transitions_it_is_the_token_cross_entropy(seed):
    outputs, tags = draw(seed, transitions=0.0)
    for got, want in zip(
        nats_per_word(outputs, tags), TOKENS(outputs["emissions"], tags), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@given(seed=seeds)
def test_the_value_is_nats_per_word_and_the_weight_the_words(seed):
    outputs, tags = draw(seed)
    value, weight = losses.weighted(nats_per_word, outputs, tags)
    mask = tags >= 0
    scores = chain.Scores(*(outputs[name] for name in chain.Scores._fields))
    nats = log_partition(scores, mask) - chain.path_score(scores, mask, np.maximum(tags, 0))
    np.testing.assert_array_equal(weight, mask.sum(1))
    np.testing.assert_allclose((value * weight)[1:], nats[1:], rtol=1e-5, atol=1e-5)
    assert (np.asarray(nats)[1:] > 0).all()
    assert value[0] == 0


def test_a_row_without_words_gets_no_gradient_and_others_do():
    outputs, tags = draw(1)
    grad = np.asarray(slope(outputs, tags)[1])
    assert np.isfinite(grad).all()
    assert not grad[tags < 0].any()
    assert (np.abs(grad[tags >= 0]).max(-1) > 0).all()


def test_gradients_stay_finite_far_out_and_half_precision_is_scored_in_float32():
    outputs, tags = draw(2)
    value, grad = slope({**outputs, "emissions": outputs["emissions"] * 1e4}, tags)
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    half = {**outputs, "emissions": jnp.asarray(outputs["emissions"], jnp.bfloat16)}
    exact = {**outputs, "emissions": half["emissions"].astype(jnp.float32)}
    assert slope(half, tags)[0].dtype == jnp.float32
    np.testing.assert_array_equal(slope(half, tags)[0], slope(exact, tags)[0])


@pytest.mark.slow
def test_its_laws_are_those_of_independent_tags():
    outputs, tags = draw(3, transitions=0.0)
    loss, shape = losses.crf(), (W, K)
    for law in ("best_constant", "uninformed", "zero_outputs"):
        np.testing.assert_array_equal(
            getattr(loss, law)(tags, shape), getattr(TOKENS, law)(tags, shape)
        )
    np.testing.assert_allclose(loss.zero_outputs(tags, shape), np.log(K))
    best = np.broadcast_to(loss.best_constant(tags, shape)[None], (B, W, K))
    mean = losses.weighted_mean(*loss({**outputs, "emissions": best}, tags))
    np.testing.assert_allclose(mean, loss.uninformed(tags, shape), rtol=1e-5)
    assert loss.spread_cost(outputs) == TOKENS.spread_cost(outputs["emissions"]) > 0


@given(seed=seeds)
def test_names_keep_answers_to_what_bio2_allows(seed):
    outputs, _ = draw(seed)
    free = np.asarray(decide(outputs))
    bound = np.asarray(decide_bio2(outputs))
    first, follows = losses.bio2_steps(NAMES)

    def allowed(path):
        path = path[path >= 0]
        return first[path[:1]].all() and follows[path[:-1], path[1:]].all()

    assert all(allowed(path) for path in bound)
    for a, b in zip(free, bound, strict=True):
        assert not allowed(a) or (a == b).all()


def test_names_forbid_what_scores_want():
    outputs, _ = draw(0, transitions=0.0)
    outputs["emissions"] = np.zeros((B, W, K), np.float32)
    outputs["emissions"][:, :, 2] = 5.0  # I-PER everywhere
    outputs["emissions"][:, :, 1] = 4.0
    outputs["mask"] = np.ones((B, W), bool)
    assert decide(outputs)[0].tolist() == [2] * W
    assert decide_bio2(outputs)[0].tolist() == [1] + [2] * (W - 1)


def test_its_metric_is_the_share_of_words_that_viterbi_gets_right():
    outputs, tags = draw(4)
    loss = losses.crf()
    metric = metrics.for_loss(loss)
    value, weight = losses.weighted(metric, outputs, tags)
    path = np.asarray(loss.decide(outputs))
    mask = tags >= 0
    want = ((path == tags) & mask).sum() / mask.sum()
    np.testing.assert_allclose(losses.weighted_mean(value, weight), want, rtol=1e-6)
    assert 0 < want < 1
    right = losses.weighted(metric, outputs, np.where(mask, path, -1))
    assert losses.weighted_mean(*right) == 1.0
    assert metrics.for_loss(loss) is metrics.for_loss(losses.crf())


GOOD = np.array([[0, 1, 2, -1], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("loss", "targets", "shape", "words"),
    [
        (losses.crf(), [[0, -1, 2, -1], [0, 1, 0, 0]], None, ["after padding", "row 0"]),
        (losses.crf(), [[0, 1, 2, -2]], None, ["-2 in row 0"]),
        (losses.crf(), [[0, 1, 7, -1]], (4, 5), ["7 in row 0", "5"]),
        (losses.crf(NAMES), [[0, 1, 7, -1]], None, ["7 in row 0", "name every tag"]),
        (losses.crf(), [[-1, -1]], None, ["all padding"]),
        (losses.crf(), [[0, 0], [0, -1]], None, ["one token only"]),
    ],
)
def test_bad_tags_get_one_line(loss, targets, shape, words):
    loss.validate(GOOD, shape=(4, 5))
    with pytest.raises(TaskError) as error:
        loss.validate(np.array(targets), "train targets", shape)
    for word in ["train targets", *words]:
        assert word in str(error.value), error.value
    assert "\n" not in str(error.value)


def test_outputs_and_targets_that_do_not_fit_are_named():
    outputs, tags = draw(0)
    for bad, words in (
        (outputs["emissions"], "Tagger"),
        ({k: v for k, v in outputs.items() if k != "end"}, "needs outputs with"),
        ({**outputs, "transitions": outputs["transitions"][0]}, r"transitions \[6, 5, 5\]"),
    ):
        with pytest.raises(TaskError, match=words):
            losses.crf()(bad, tags)
    with pytest.raises(TaskError, match=r"int32\[6, 4\]"):
        losses.crf()(outputs, tags[:, :4])
    with pytest.raises(TaskError, match="2 names for outputs of 5 tags"):
        losses.crf(["O", "B-X"]).decide(outputs)
