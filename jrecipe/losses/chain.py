"""Sums, scores and the best of all paths through a linear chain of tags, in log space.

A path `y` through w words scores `start[y_0] + sum_i emissions[i, y_i] + sum_i
transitions[y_(i-1), y_i] + end[y_last]`. All functions take a batch of such `Scores` and a mask
bool[b, w], True on the words, which stand before the padding. They compute in the dtype they get.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jrecipe.types import Array


class Scores(NamedTuple):
    """What the paths through each row of a batch are made of.

    Attributes:
      emissions: of each word's tag, float[b, w, k].
      transitions: of a tag (first axis) and the next one, float[b, k, k].
      start: of the first word's tag, float[b, k].
      end: of the last word's tag, float[b, k].
    """

    emissions: Array
    transitions: Array
    start: Array
    end: Array


def log_partition(scores: Scores, mask: Array) -> Array:
    """Returns the logarithm of the sum of exp(score) over all k^words paths, [b].

    The forward algorithm: O(w k^2) a row, one `lax.scan` over the words. A row without words is
    read as one of one word.
    """

    def step(sums: Array, given: tuple[Array, Array]) -> tuple[Array, None]:
        emission, real = given
        after = jax.nn.logsumexp(sums[:, :, None] + scores.transitions, axis=1) + emission
        return jnp.where(real[:, None], after, sums), None

    first = scores.start + scores.emissions[:, 0]
    sums, _ = jax.lax.scan(step, first, _over_words(scores.emissions, mask))
    return jax.nn.logsumexp(sums + scores.end, axis=1)


def path_score(scores: Scores, mask: Array, tags: Array) -> Array:
    """Returns the score of the path `tags` int[b, w] in each row, [b]; 0 for a row without words.

    Tags at padding do not matter, but have to be in 0..k-1.
    """
    tags, rows = jnp.asarray(tags), jnp.arange(len(tags))
    own = jnp.take_along_axis(scores.emissions, tags[:, :, None], axis=2)[:, :, 0]
    moves = scores.transitions[rows[:, None], tags[:, :-1], tags[:, 1:]]
    words = jnp.sum(mask, axis=1)
    last = tags[rows, jnp.maximum(words - 1, 0)]
    ends = scores.start[rows, tags[:, 0]] + scores.end[rows, last]
    inner = jnp.sum(jnp.where(mask, own, 0), axis=1)
    inner += jnp.sum(jnp.where(mask[:, 1:], moves, 0), axis=1)
    return jnp.where(words > 0, inner + ends, 0)


def viterbi(scores: Scores, mask: Array) -> Array:
    """Returns the path of the highest score, int32[b, w], -1 at padding.

    Of equally good paths the one that is found is the first by the tags' numbers from the last
    word backwards.

    References:
      Viterbi, "Error Bounds for Convolutional Codes and an Asymptotically Optimum Decoding
      Algorithm", 1967.
    """
    stay = jnp.arange(scores.start.shape[1], dtype=jnp.int32)[None]

    def forward(best: Array, given: tuple[Array, Array]) -> tuple[Array, Array]:
        emission, real = given
        paths = best[:, :, None] + scores.transitions
        after = jnp.max(paths, axis=1) + emission
        came_from = jnp.argmax(paths, axis=1).astype(jnp.int32)
        real = real[:, None]
        return jnp.where(real, after, best), jnp.where(real, came_from, stay)

    def backward(tag: Array, came_from: Array) -> tuple[Array, Array]:
        return jnp.take_along_axis(came_from, tag[:, None], axis=1)[:, 0], tag

    first = scores.start + scores.emissions[:, 0]
    best, came_from = jax.lax.scan(forward, first, _over_words(scores.emissions, mask))
    last = jnp.argmax(best + scores.end, axis=1).astype(jnp.int32)
    head, rest = jax.lax.scan(backward, last, came_from, reverse=True)
    path = jnp.concatenate([head[None], rest]).T
    return jnp.where(mask, path, -1)


def _over_words(emissions: Array, mask: Array) -> tuple[Array, Array]:
    """Returns the words after the first along the leading axis, as `lax.scan` wants them."""
    return jnp.swapaxes(emissions, 0, 1)[1:], mask.T[1:]
