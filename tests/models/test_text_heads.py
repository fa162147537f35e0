"""What holds for every head on an encoder: names, padding, dropout, the loss at the start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from strategies import generator
from tiny_encoder import TinyEncoder, text

from jrecipe import losses
from jrecipe.models import PairSimilarity, SpanFinder, Tagger, TextClassifier, as_model
from jrecipe.models.pooling import pool_tokens
from jrecipe.types import TaskError

B, T, K = 3, 7, 4
LENGTHS = (7, 4, 5)
WORDS = jnp.array([[1, 2, 4, 6], [1, 3, -1, -1], [1, 2, 3, -1]])


def inputs_of(name: str, tokens: int = T):
    rng = generator(0)
    given = text(rng, LENGTHS, T)
    wider = {k: jnp.pad(x, ((0, 0), (0, tokens - T)), constant_values=0) for k, x in given.items()}
    if tokens > T:  # what stands at padding is anything
        wider["ids"] = wider["ids"].at[:, T:].set(9)
    if name == "pair":
        return {"first": wider, "second": text(rng, (3, 2, 5), 5)}
    if name.startswith("tagger"):
        wider["words"] = jnp.pad(WORDS, ((0, 0), (0, tokens - T)), constant_values=-1)
    return wider


HEADS = {
    "classes": TextClassifier(TinyEncoder(), K, head_init="lecun"),
    "number": TextClassifier(TinyEncoder(), 1, pool="mean", squeeze=True, head_init="lecun"),
    "tagger": Tagger(TinyEncoder(), K, head_init="lecun"),
    "tagger-crf": Tagger(TinyEncoder(), K, crf=True, head_init="lecun"),
    "span": SpanFinder(TinyEncoder(), head_init="lecun"),
    "pair": PairSimilarity(TinyEncoder()),
}
each_head = pytest.mark.parametrize("name", HEADS)


def start(name: str, seed: int = 0):
    model = as_model(HEADS[name])
    params, state = jax.jit(model.init)(jax.random.key(seed), inputs_of(name))
    assert not state
    return model, params


def as_dict(outputs):
    return outputs if isinstance(outputs, dict) else {"outputs": outputs}


@pytest.mark.thin(6)
@each_head
def test_parameters_are_encoder_and_head(name):
    _, params = start(name)
    assert set(params) == ({"encoder"} if name == "pair" else {"encoder", "head"})
    assert set(params["encoder"]) == {"embeddings", "layer_0"}


@pytest.mark.thin(6)
@each_head
def test_shapes_and_dtypes(name):
    model, params = start(name)
    outputs = model.apply(params, {}, inputs_of(name))[0]
    want = {
        "classes": (B, K),
        "number": (B,),
        "tagger": (B, 4, K),
        "span": (B, T, 2),
        "pair": (B,),
    }
    if name == "tagger-crf":
        assert {k: x.shape for k, x in outputs.items()} == {
            "emissions": (B, 4, K),
            "transitions": (B, K, K),
            "start": (B, K),
            "end": (B, K),
            "mask": (B, 4),
        }
        assert outputs["emissions"].dtype == jnp.float32
    else:
        assert (outputs.shape, outputs.dtype) == (want[name], jnp.float32)


@pytest.mark.thin(6)
@each_head
def test_padding_changes_no_answer(name):
    model, params = start(name)
    answers = [as_dict(model.apply(params, {}, inputs_of(name, n))[0]) for n in (T, T + 2)]
    for part in answers[0]:
        short, long = (np.asarray(answer[part]) for answer in answers)
        if part == "mask":
            assert not long[:, short.shape[1] :].any()
        if long.shape != short.shape:  # an answer per token or word
            long = long[:, : short.shape[1]]
        np.testing.assert_allclose(short, long, rtol=1e-5, atol=1e-6)


@pytest.mark.thin(6)
@each_head
def test_dropout_is_on_in_training_only_and_can_be_taken_out(name):
    model, params = start(name)
    inputs = inputs_of(name)

    def answer(model=model, **how):
        return np.asarray(jax.tree.leaves(model.apply(params, {}, inputs, **how)[0])[0])

    calm = answer()
    np.testing.assert_array_equal(calm, answer(key=jax.random.key(1)))
    drawn = [answer(key=jax.random.key(seed), train=True) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.abs(drawn[0] - drawn[2]).max() > 1e-4
    without = answer(model.without("dropout"), key=jax.random.key(1), train=True)
    np.testing.assert_allclose(without, calm, rtol=1e-6)


@pytest.mark.thin(5)
@pytest.mark.parametrize(
    ("head", "loss", "targets", "want"),
    [
        (TextClassifier(TinyEncoder(), K), losses.softmax_cross_entropy(), [0, 3, 1], np.log(K)),
        (
            TextClassifier(TinyEncoder(), 1, squeeze=True),
            losses.l2(),
            np.array([1.0, 2.0, 3.0]),
            14 / 3,
        ),
        (
            Tagger(TinyEncoder(), K),
            losses.token_cross_entropy(pad=-1),
            [[0, 1, 2, 3], [1, 1, -1, -1], [0, 2, 1, -1]],
            np.log(K),
        ),
        (
            Tagger(TinyEncoder(), K, crf=True),
            losses.crf(),
            [[0, 1, 2, 3], [1, 1, -1, -1], [0, 2, 1, -1]],
            np.log(K),
        ),
        (
            SpanFinder(TinyEncoder()),
            losses.span_cross_entropy(),
            [[1, 2], [0, 0], [3, 4]],
            np.mean(np.log(LENGTHS)),  # padding is out of the question
        ),
    ],
)
def test_the_loss_at_the_start_is_that_of_an_uninformed_network(head, loss, targets, want):
    model, inputs = as_model(head), inputs_of("tagger")
    params, _ = model.init(jax.random.key(0), inputs)
    outputs = model.apply(params, {}, inputs)[0]
    value = losses.weighted_mean(*losses.weighted(loss, outputs, np.array(targets)))
    np.testing.assert_allclose(value, want, rtol=1e-5)


def test_pooling_takes_what_it_says():
    inputs = inputs_of("classes")
    for pool in ("cls", "mean"):
        head = TextClassifier(TinyEncoder(), K, pool=pool)
        params = head.init(jax.random.key(0), inputs)
        tokens = head.apply(params, inputs, method=lambda m, x: m.encoder.features(x))
        got = head.apply(params, inputs, method="features")
        want = [
            x[0] if pool == "cls" else x[:n].mean(0) for x, n in zip(tokens, LENGTHS, strict=True)
        ]
        np.testing.assert_allclose(got, np.stack(want), rtol=1e-5)


def test_a_tagger_looks_at_the_first_token_of_each_word():
    inputs = inputs_of("tagger")
    head = HEADS["tagger"]
    params = head.init(jax.random.key(0), inputs)
    tokens = head.apply(params, inputs, method=lambda m, x: m.encoder.features(x))
    got = np.asarray(head.apply(params, inputs, method="features"))
    for row, words in enumerate(WORDS.tolist()):
        for i, at in enumerate(words):
            np.testing.assert_array_equal(got[row, i], tokens[row, at] if at >= 0 else 0)


def test_spans_never_end_in_padding():
    outputs = start("span")
    logits = np.asarray(outputs[0].apply(outputs[1], {}, inputs_of("span"))[0])
    real = np.arange(T)[None] < np.array(LENGTHS)[:, None]
    assert (logits[~real] == -1e9).all()
    assert (np.abs(logits[real]) < 10).all()
    assert (
        np.asarray(losses.span_cross_entropy().decide(logits)) < np.array(LENGTHS)[:, None]
    ).all()


def test_similarity_is_the_cosine_of_the_mean_vectors():
    head, inputs = HEADS["pair"], inputs_of("pair")
    params = head.init(jax.random.key(0), inputs)
    sides = []
    for side in ("first", "second"):
        given = inputs[side]
        tokens = head.apply(params, given, method=lambda m, x: m.encoder.features(x))
        sides.append(
            np.stack([x[m].mean(0) for x, m in zip(tokens, np.asarray(given["mask"]), strict=True)])
        )
    lengths = np.linalg.norm(sides[0], axis=1) * np.linalg.norm(sides[1], axis=1)
    want = (sides[0] * sides[1]).sum(1) / lengths
    np.testing.assert_allclose(head.apply(params, inputs), want, rtol=1e-5)
    twin = {"first": inputs["first"], "second": inputs["first"]}
    np.testing.assert_allclose(head.apply(params, twin), 1.0, rtol=1e-5)
    vectors = head.apply(params, inputs["first"], method="embed")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)


@pytest.mark.exhaustive
def test_a_text_without_tokens_gives_finite_gradients():
    head, inputs = HEADS["pair"], inputs_of("pair")
    inputs["first"]["mask"] = jnp.zeros((B, T), bool)
    params = head.init(jax.random.key(0), inputs)
    value, grad = jax.value_and_grad(lambda p: head.apply(p, inputs).sum())(params)
    assert value == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(TaskError, match=r"mask needs shape \[2, 3\], as the tokens, got \[2, 4\]"):
        pool_tokens(jnp.zeros((2, 3, 5)), jnp.ones((2, 4), bool), "mean")


@pytest.mark.parametrize(
    ("head", "spoil", "words"),
    [
        (HEADS["classes"], lambda x: x["ids"], "needs inputs with 'mask', got"),
        (HEADS["tagger"], lambda x: {"ids": x["ids"], "mask": x["mask"]}, "'words'"),
        (HEADS["tagger"], lambda x: {**x, "words": x["words"][0]}, "words need shape"),
        (HEADS["pair"], lambda x: {"first": x}, "'second'"),
        (TextClassifier(TinyEncoder(), K, pool="max"), lambda x: x, "'max'"),
        (TextClassifier(TinyEncoder(), 2, squeeze=True), lambda x: x, "outputs=1"),
    ],
)
def test_what_does_not_fit_is_named(head, spoil, words):
    with pytest.raises(TaskError, match=words) as error:
        head.init(jax.random.key(0), spoil(inputs_of("tagger")))
    assert "\n" not in str(error.value)
