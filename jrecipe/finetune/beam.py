"""Beam search: several continuations at a time, the best finished one in the end (J5)."""

from __future__ import annotations

import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jrecipe.finetune.generation import Generated, begin, check_generation, rows_of, step
from jrecipe.finetune.repeats import without_repeats
from jrecipe.models.cache import Cache
from jrecipe.types import Array, PyTree


class _State(NamedTuple):
    position: Array  # int32[], tokens written
    ids: Array  # int32[b, k, max_length], of the running continuations, best first
    last: Array  # int32[b, k], the tokens that are read next
    scores: Array  # float32[b, k], their log-probabilities; -inf for one that is none
    finished: Generated  # leaves [b, k, ...], best first; scores -inf where there is none yet
    open: Array  # bool[b], rows whose search goes on
    cache: Cache


def beam_search(
    module: nn.Module,
    params: PyTree,
    inputs: PyTree,
    *,
    max_length: int,
    beams: int = 4,
    length_penalty: float = 1.0,
    no_repeat: int = 0,
    start: int = 0,
    eos: int = 1,
    pad: int = 0,
) -> Generated:
    """Writes the sequence with the highest `log-probability / length ** length_penalty` it finds.

    At each step the best `2 * beams` continuations are looked at: those among the first `beams`
    that end are finished, and the best `beams` of the others run on. A row is done when `beams`
    have finished and no running one, divided by its present length, is above the worst of them; so
    do the customary implementations, whose results this gives. With one beam it is `greedy`.

    One compiled program for each shape of the inputs, which stops when all rows are done; the
    penalty may change without compiling anew. The row of an example does not depend on the others.

    Args:
      module: a network with `begin` and `step`, see `jrecipe.models.cache.Cache`; such as `T5`.
      params: its parameters.
      inputs: what it reads, as for training; `decoder_ids` are not looked at.
      max_length: most tokens of a row, the end token among them; those that reach it are finished.
      beams: continuations of each example that run at a time.
      length_penalty: exponent of the length; 0 compares log-probabilities, above 0 favours long
        sequences, below 0 short ones.
      no_repeat: tokens of the runs that are not written twice, 2 or 3 where a network repeats
        itself; 0 allows all.
      start: token that stands before the first.
      eos: the end token.
      pad: token behind the end.

    Returns:
      The best sequence of each example.

    Raises:
      TaskError: if `max_length` or `beams` is less than 1, or `no_repeat` less than 0.

    References:
      Wu et al., "Google's Neural Machine Translation System", 2016, arXiv:1609.08144, section 7.
    """
    check_generation("beam_search", no_repeat, max_length=max_length, beams=beams)
    penalty = jnp.float32(length_penalty)
    return _search(module, params, inputs, penalty, max_length, beams, no_repeat, start, eos, pad)


@functools.partial(jax.jit, static_argnums=(0, 4, 5, 6, 7, 8, 9))
def _search(
    module: nn.Module,
    params: PyTree,
    inputs: PyTree,
    penalty: Array,
    length: int,
    beams: int,
    no_repeat: int,
    start: int,
    eos: int,
    pad: int,
) -> Generated:
    def unfinished(state: _State) -> Array:
        return (state.position < length) & jnp.any(state.open)

    def write(state: _State) -> _State:
        said, cache = step(module, params, state.last, state.position, state.cache)
        said = without_repeats(said, state.ids, state.position, no_repeat)
        total = state.scores[:, :, None] + said
        words = total.shape[-1]
        scores, index = jax.lax.top_k(total.reshape(len(total), -1), min(2, words) * beams)
        parents, tokens = index // words, index % words
        ids = _take(state.ids, parents).at[:, :, state.position].set(tokens)
        written = state.position + 1
        ends = (tokens == eos) | (written == length)
        value = written.astype(jnp.float32) ** penalty

        counts = ends & (jnp.arange(ends.shape[1]) < beams)[None] & state.open[:, None]
        new = Generated(
            ids, jnp.full_like(tokens, written), jnp.where(counts, scores / value, -jnp.inf)
        )
        finished = _best(state.finished, new, beams)

        scores, kept = jax.lax.top_k(jnp.where(ends, -jnp.inf, scores), beams)
        parents = _take(parents, kept)
        own = jax.tree.map(lambda leaf: _take(leaf, parents), cache.own)
        goes_on = scores[:, 0] / value > finished.scores[:, -1]
        return _State(
            written,
            _take(ids, kept),
            _take(tokens, kept),
            scores,
            finished,
            state.open & goes_on,
            cache._replace(own=own),
        )

    rows = rows_of(inputs)
    shape = (rows, beams)
    none = jnp.full(shape, -jnp.inf, jnp.float32)
    empty = jnp.full((*shape, length), pad, jnp.int32)
    first = _State(
        jnp.int32(0),
        empty,
        jnp.full(shape, start, jnp.int32),
        none.at[:, 0].set(0.0),  # all beams begin alike: one is enough
        Generated(empty, jnp.zeros(shape, jnp.int32), none),
        jnp.ones(rows, bool),
        begin(module, params, inputs, beams, length),
    )
    finished = jax.lax.while_loop(unfinished, write, first).finished
    return jax.tree.map(lambda leaf: leaf[:, 0], finished)


def _best(old: Generated, new: Generated, beams: int) -> Generated:
    """Returns the best `beams` of both, leaves [b, beams, ...], best first."""
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), old, new)
    _, kept = jax.lax.top_k(both.scores, beams)
    return jax.tree.map(lambda leaf: _take(leaf, kept), both)


def _take(leaf: Array, rows: Array) -> Array:
    """Returns leaf[b, rows[b, k], ...] for each b and k."""
    return jnp.take_along_axis(leaf, rows.reshape(*rows.shape, *[1] * (leaf.ndim - 2)), axis=1)
