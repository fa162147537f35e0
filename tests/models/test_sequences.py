"""Padding never reaches a recurrent network's answer; no output of a GPT sees its target."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.checks import Verdict
from jrecipe.models import GPT, GRU, LSTM
from jrecipe.types import TaskError

pytestmark = pytest.mark.thin(2)

STEPS, WORDS, WIDTH = 7, 9, 5
recurrent = pytest.mark.parametrize("make", [GRU, LSTM])
pools = pytest.mark.parametrize("pool", ["last", "mean"])


def network(make, **options):
    return make(2, vocabulary=WORDS, width=WIDTH, embedding=3, **options)


@functools.cache
def compiled(make, pool):
    """Returns variables, and features of tokens with `pad=0`, of tokens with their lengths."""
    padded, plain = network(make, pool=pool, pad=0), network(make, pool=pool)
    variables = plain.init(jax.random.key(0), jnp.ones((1, STEPS), jnp.int32))
    by_pad = jax.jit(lambda x: padded.apply(variables, x, method="features"))
    by_length = jax.jit(lambda x, n: plain.apply(variables, (x, n), method="features"))
    return variables, by_pad, by_length


def tokens_of(rng, rows=3):
    """Returns tokens 1..WORDS-1 with padding 0 behind them, and their lengths."""
    lengths = rng.integers(1, STEPS + 1, rows)
    tokens = rng.integers(1, WORDS, (rows, STEPS))
    return np.where(np.arange(STEPS) < lengths[:, None], tokens, 0).astype(np.int32), lengths


@pytest.mark.exhaustive
@recurrent
@pools
@given(seed=seeds)
def test_padding_changes_nothing_wherever_it_stands(make, pool, seed):
    rng = generator(seed)
    tokens, lengths = tokens_of(rng)
    _, by_pad, by_length = compiled(make, pool)
    behind = by_pad(tokens)
    garbage = np.where(tokens == 0, rng.integers(0, WORDS, tokens.shape), tokens)
    np.testing.assert_allclose(by_length(garbage.astype(np.int32), lengths), behind, atol=1e-6)
    scattered = np.zeros_like(tokens)
    for row, count in enumerate(lengths):
        scattered[row, np.sort(rng.permutation(STEPS)[:count])] = tokens[row, :count]
    np.testing.assert_allclose(by_pad(scattered), behind, atol=1e-6)


@pytest.mark.exhaustive
@recurrent
@pools
def test_features_are_those_of_the_cell_run_by_hand(make, pool):
    rng = generator(0)
    tokens, lengths = tokens_of(rng)
    variables, by_pad, _ = compiled(make, pool)
    params = variables["params"]
    cell = make.cell(WIDTH)
    for row, length in enumerate(lengths):
        state, outputs = cell.initialize_carry(jax.random.key(0), (1, 3)), []
        for token in tokens[row, :length]:
            vector = params["tokens"]["embedding"][token][None]
            state, output = cell.apply({"params": params["cell"]}, state, vector)
            outputs.append(output[0])
        want = outputs[-1] if pool == "last" else np.mean(outputs, axis=0)
        np.testing.assert_allclose(by_pad(tokens)[row], want, atol=1e-5)


@pytest.mark.exhaustive
@recurrent
@pools
def test_a_row_of_padding_has_features_of_zero(make, pool):
    _, by_pad, by_length = compiled(make, pool)
    empty = np.zeros((3, STEPS), np.int32)
    assert not by_pad(empty).any()
    assert not by_length(empty + 1, np.zeros(3, int)).any()


@recurrent
def test_an_id_outside_the_vocabulary_is_not_silent(make):
    by_pad = compiled(make, "last")[1]
    assert np.isnan(by_pad(np.full((3, STEPS), WORDS, np.int32))).all()


@recurrent
@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((jnp.ones((2, 3), jnp.int32), jnp.ones((2, 1), jnp.int32)), ["int[2]", "[2, 1]"]),
        ({"tokens": jnp.ones((2, 3), jnp.int32)}, ["dict", "pair"]),
        (jnp.ones((2, 3)), ["float32[2, 3]", "int[b, t]"]),
    ],
)
def test_recurrent_networks_name_what_they_cannot_read(make, inputs, words):
    with pytest.raises(TaskError) as error:
        network(make).init(jax.random.key(0), inputs)
    for word in (make.__name__, *words):
        assert word in str(error.value)


@functools.cache
def gpt(tied):
    """Returns a network, its variables with a last layer that is not 0, and it compiled."""
    net = GPT(WORDS, length=8, width=8, depth=2, heads=2, tied=tied, head_init="lecun")
    variables = net.init(jax.random.key(0), jnp.zeros((1, STEPS), jnp.int32))
    return net, variables, jax.jit(net.apply)


@pytest.mark.exhaustive
@pytest.mark.parametrize("tied", [False, True])
@given(seed=seeds, place=st.integers(0, STEPS - 1))
def test_no_output_of_a_gpt_sees_a_later_token(tied, seed, place):
    _, variables, apply = gpt(tied)
    tokens = generator(seed).integers(0, WORDS, (2, STEPS)).astype(np.int32)
    other = tokens.copy()
    other[:, place] = (other[:, place] + 1) % WORDS
    before, after = apply(variables, tokens), apply(variables, other)
    np.testing.assert_array_equal(before[:, :place], after[:, :place])
    reached = np.abs(np.asarray(before - after)).max(axis=(0, 2))
    assert (reached[place:] > 0).all()  # and all later outputs see it


@pytest.mark.exhaustive
def test_tied_logits_are_products_with_the_embedding_in_float32():
    net, variables, apply = gpt(True)
    assert "output" not in variables["params"]
    tokens = generator(0).integers(0, WORDS, (2, STEPS))
    features = net.apply(variables, tokens, method="features")
    embedding = variables["params"]["tokens"]["embedding"]
    np.testing.assert_allclose(apply(variables, tokens), features @ embedding.T, atol=1e-5)
    half = net.clone(dtype=jnp.bfloat16)
    assert jax.eval_shape(half.apply, variables, tokens).dtype == jnp.float32


def language(rows=64, pad=None, **options):
    """A task whose next token is the last one plus one."""
    first = generator(0).integers(0, WORDS, rows)
    text = ((first[:, None] + np.arange(STEPS + 1)) % WORDS).astype(np.int32)
    split = (text[:, :-1], text[:, 1:])
    return jr.Task(
        model=GPT(WORDS, length=STEPS, width=16, depth=1, heads=2, **options),
        loss=jr.losses.token_cross_entropy(pad=pad),
        train=split,
        val=split,
        batch_size=16,
        causal_axis=1,
    )


@pytest.mark.exhaustive
def test_a_gpt_is_a_task_that_passes_its_checks_and_learns():
    import optax

    task = language().replace(optimizer=optax.adam(1e-2))
    report = jr.check(task, only=("B4", "B12"))
    assert {finding.verdict for finding in report.findings} == {Verdict.PASSED}
    assert jr.fit(task, steps=200).evaluate("val").loss < 0.1


@pytest.mark.exhaustive
def test_places_matter():
    _, variables, apply = gpt(False)
    same = apply(variables, np.zeros((1, STEPS), np.int32))
    assert np.abs(np.diff(np.asarray(same)[0], axis=0)).max() > 1e-4  # one token, other places
