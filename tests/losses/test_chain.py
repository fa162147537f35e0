"""Sums over paths, their scores and the best path, against enumerating every path."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds

from jrecipe.losses import chain

B, W, K = 4, 4, 3
# Compiled once per shape; a scan that runs by itself is compiled at every call.
log_partition = jax.jit(chain.log_partition)
path_score = jax.jit(chain.path_score)
viterbi = jax.jit(chain.viterbi)
chances_of = jax.jit(jax.grad(lambda scores, mask: chain.log_partition(scores, mask).sum()))
shapes = st.sampled_from([(W, K), (1, 4), (3, 2)])


def draw(seed: int, words: int = W, tags: int = K, scale: float = 2.0):
    """Returns scores float64, and a mask with rows of 1 to `words` words."""
    rng = generator(seed)
    normal = lambda *shape: rng.normal(size=(B, *shape)) * scale  # noqa: E731
    scores = chain.Scores(normal(words, tags), normal(tags, tags), normal(tags), normal(tags))
    lengths = np.append(words, rng.integers(1, words + 1, B - 1))
    return scores, np.arange(words)[None] < lengths[:, None]


def every_path(scores: chain.Scores, mask: np.ndarray, row: int) -> dict[tuple[int, ...], float]:
    """Returns each path through one row with its score, written down from the definition."""
    emissions, transitions, start, end = (np.asarray(part[row]) for part in scores)
    words = int(mask[row].sum())
    found = {}
    for path in itertools.product(range(len(start)), repeat=words):
        score = start[path[0]] + end[path[-1]]
        score += sum(emissions[i, tag] for i, tag in enumerate(path))
        score += sum(transitions[a, b] for a, b in itertools.pairwise(path))
        found[path] = float(score)
    return found


@given(seed=seeds, shape=shapes)
def test_the_partition_function_sums_every_path(seed, shape):
    scores, mask = draw(seed, *shape)
    want = [np.logaddexp.reduce(list(every_path(scores, mask, i).values())) for i in range(B)]
    np.testing.assert_allclose(log_partition(scores, mask), want, rtol=1e-5, atol=1e-5)


@given(seed=seeds, shape=shapes)
def test_a_path_scores_what_the_definition_says(seed, shape):
    scores, mask = draw(seed, *shape)
    tags = generator(seed).integers(0, shape[1], (B, shape[0]))
    want = [every_path(scores, mask, i)[tuple(tags[i, mask[i]].tolist())] for i in range(B)]
    np.testing.assert_allclose(path_score(scores, mask, tags), want, rtol=1e-5, atol=1e-5)


@given(seed=seeds, shape=shapes)
def test_viterbi_finds_the_best_path_of_all(seed, shape):
    scores, mask = draw(seed, *shape)
    path = np.asarray(viterbi(scores, mask))
    assert (path.shape, path.dtype) == ((B, shape[0]), np.int32)
    assert (path[~mask] == -1).all()
    for i in range(B):
        every = every_path(scores, mask, i)
        assert tuple(path[i, mask[i]].tolist()) == max(every, key=every.__getitem__)


@given(seed=seeds)
def test_padding_changes_nothing_whatever_stands_there(seed):
    scores, mask = draw(seed)
    noise = generator(seed).normal(size=(B, 3, K)) * 1e4
    longer = scores._replace(emissions=np.concatenate([scores.emissions, noise], axis=1))
    wider = np.pad(mask, ((0, 0), (0, 3)))
    tags = generator(seed).integers(0, K, (B, W))
    for before, after in (
        (log_partition(scores, mask), log_partition(longer, wider)),
        (
            path_score(scores, mask, tags),
            path_score(longer, wider, np.pad(tags, ((0, 0), (0, 3)), constant_values=2)),
        ),
        (viterbi(scores, mask), viterbi(longer, wider)[:, :W]),
    ):
        np.testing.assert_allclose(before, after, rtol=1e-6)


@pytest.mark.slow
def test_gradients_equal_finite_differences_in_float64():
    with jax.enable_x64(True):
        scores, mask = draw(3)
        tags = generator(3).integers(0, K, (B, W))
        scores = jax.tree.map(jnp.asarray, scores)
        assert scores.emissions.dtype == jnp.float64

        @jax.jit
        def nats(scores):
            return jnp.sum(log_partition(scores, mask) - path_score(scores, mask, tags))

        grads = jax.grad(nats)(scores)
        step, checked = 1e-5, 0
        for leaf, (part, grad) in enumerate(zip(scores, grads, strict=True)):
            for at in np.ndindex(part.shape):
                moved = lambda by: scores._replace(  # noqa: E731
                    **{scores._fields[leaf]: part.at[at].add(by)}  # noqa: B023
                )
                slope = (nats(moved(step)) - nats(moved(-step))) / (2 * step)
                np.testing.assert_allclose(grad[at], slope, rtol=1e-7, atol=1e-9)
                checked += 1
        assert checked == B * (W * K + K * K + 2 * K)
        assert not np.asarray(grads.emissions)[~mask].any()


@given(seed=seeds)
def test_gradients_of_the_sum_are_chances_of_tags(seed):
    scores, mask = draw(seed)
    chances = chances_of(jax.tree.map(jnp.asarray, scores), mask).emissions
    np.testing.assert_allclose(chances.sum(-1), mask, atol=1e-5)
    every = every_path(scores, mask, 0)
    total = np.logaddexp.reduce(list(every.values()))
    first = sum(np.exp(score - total) for path, score in every.items() if path[0] == 1)
    np.testing.assert_allclose(chances[0, 0, 1], first, atol=1e-5)


def test_a_row_without_words_is_finite_and_has_no_path():
    scores, _ = draw(0)
    nothing = np.zeros((B, W), bool)
    assert np.isfinite(log_partition(scores, nothing)).all()
    assert not np.asarray(path_score(scores, nothing, np.zeros((B, W), int))).any()
    assert (np.asarray(viterbi(scores, nothing)) == -1).all()
