"""A pointer mixes what the vocabulary says with what was read, and so writes what it never saw."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from strategies import generator, seeds

import jrecipe as jr
from jrecipe.models.pointer import Pointer, Source
from jrecipe.models.t5 import T5

ROWS, READ, WRITTEN, WORDS, WIDTH = 2, 5, 3, 7, 4


def drawn(seed):
    """Returns a pointer's weights, a source with repeated tokens, logits and states."""
    rng = generator(seed)

    def normal(*shape):
        return rng.normal(size=shape).astype(np.float32)

    ids = rng.integers(1, WORDS - 2, (ROWS, READ)).astype(np.int32)
    mask = np.arange(READ)[None] < rng.integers(1, READ + 1, ROWS)[:, None]
    source = Source(ids, mask, normal(ROWS, READ, WIDTH), normal(ROWS, READ, WIDTH))
    weights = {
        "query": {"kernel": normal(WIDTH, WIDTH)},
        "gate": {"kernel": normal(WIDTH, 1), "bias": normal(1)},
    }
    tokens = rng.integers(0, WORDS, (ROWS, WRITTEN)).astype(np.int32)
    return weights, source, normal(ROWS, WRITTEN, WORDS), normal(ROWS, WRITTEN, WIDTH), tokens


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


@given(seed=seeds)
def test_probabilities_are_the_mixture_that_loops_give(seed):
    weights, source, logits, x, _ = drawn(seed)
    got = np.exp(Pointer(WIDTH).apply({"params": weights}, logits, x, source))
    np.testing.assert_allclose(got.sum(axis=-1), 1.0, atol=1e-5)
    for row in range(ROWS):
        places = np.flatnonzero(source.mask[row])
        for place in range(WRITTEN):
            state = x[row, place]
            gate = state @ weights["gate"]["kernel"][:, 0] + weights["gate"]["bias"][0]
            share = 1 / (1 + np.exp(-gate))
            query = state @ weights["query"]["kernel"]
            pointed = softmax(source.keys[row, places] @ query * WIDTH**-0.5)
            want = share * softmax(logits[row, place])
            for at, much in zip(places, pointed, strict=True):
                want[source.ids[row, at]] += (1 - share) * much
            np.testing.assert_allclose(got[row, place], want, rtol=1e-4, atol=1e-6)


@given(seed=seeds)
def test_what_follows_a_token_is_the_mean_over_its_places(seed):
    _, source, _, _, tokens = drawn(seed)
    got = Pointer(WIDTH).apply({"params": {}}, tokens, source, method="following")
    for row in range(ROWS):
        for place, token in enumerate(tokens[row]):
            at = np.flatnonzero((source.ids[row] == token) & source.mask[row])
            want = source.followers[row, at].mean(axis=0) if len(at) else np.zeros(WIDTH)
            np.testing.assert_allclose(got[row, place], want, atol=1e-6)


def test_the_follower_of_the_last_token_is_nothing():
    pointer = Pointer(WIDTH)
    states = jnp.asarray(generator(0).normal(size=(1, 3, WIDTH)), jnp.float32)
    ids, mask = jnp.array([[4, 5, 6]]), jnp.array([[True, True, False]])
    params = {name: {"kernel": jnp.eye(WIDTH)} for name in ("key", "follower")}
    source = pointer.apply({"params": params}, ids, mask, states, method="source")
    np.testing.assert_allclose(source.followers[0, 0], states[0, 1])
    assert not np.any(source.followers[0, 1:])  # behind the second stands padding


def test_a_t5_that_copies_starts_with_half_of_the_probability_on_what_it_reads():
    net = T5(40, width=8, depth=1, heads=2, head_width=4, hidden=8, dropout=0.0, copies=True)
    ids = np.array([[5, 6, 7, 0]], np.int32)
    inputs = {"ids": ids, "mask": ids > 0, "decoder_ids": np.array([[0, 5]], np.int32)}
    logits, _ = jax.jit(net.init_with_output)(jax.random.key(0), inputs)
    likely = np.exp(logits)
    np.testing.assert_allclose(likely.sum(axis=-1), 1.0, atol=1e-5)
    assert np.all(likely[..., [5, 6, 7]].sum(axis=-1) > 0.5)
    assert np.all(likely[..., 0] < 0.5)


@pytest.mark.exhaustive
def test_a_t5_with_a_pointer_writes_tokens_that_no_row_of_training_had():
    def rows(rng, count, first, last):
        ids = rng.integers(first, last, (count, 8)).astype(np.int32)
        targets = np.pad(ids[:, :5], ((0, 0), (0, 1)), constant_values=1)
        decoder = np.pad(targets[:, :-1], ((0, 0), (1, 0)))
        return {"ids": ids, "mask": ids > 0, "decoder_ids": decoder}, targets

    def right(copies):
        net = T5(40, width=32, depth=1, heads=2, head_width=16, hidden=64, copies=copies)
        task = jr.Task(
            model=net,
            loss=jr.losses.token_cross_entropy(pad=0),
            train=rows(generator(0), 4_000, 3, 20),
            val=rows(generator(1), 64, 3, 20),
            optimizer=optax.adam(jr.train.schedules.linear(5e-3, 400, warm_up=0.1)),
            batch_size=32,
        )
        run = jr.fit(task, 400, progress=False)
        inputs, targets = rows(generator(2), 64, 20, 40)
        logits = jax.jit(net.apply)({"params": run.state.params}, inputs)
        return np.mean(np.argmax(logits, axis=-1)[:, :5] == targets[:, :5])

    assert right(copies=True) > 0.6
    assert right(copies=False) < 0.2
