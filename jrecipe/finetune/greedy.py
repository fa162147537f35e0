"""Writing the likeliest token, again and again (J5)."""

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
    last: Array  # int32[b], the token that is read next
    ended: Array  # bool[b]
    written: Generated
    cache: Cache


def greedy(
    module: nn.Module,
    params: PyTree,
    inputs: PyTree,
    *,
    max_length: int,
    no_repeat: int = 0,
    start: int = 0,
    eos: int = 1,
    pad: int = 0,
) -> Generated:
    """Writes the likeliest next token until the end token, or `max_length` tokens.

    One compiled program for each shape of the inputs, which stops when all rows have ended. The row
    of an example does not depend on the others.

    Args:
      module: a network with `begin` and `step`, see `jrecipe.models.cache.Cache`; such as `T5`.
      params: its parameters.
      inputs: what it reads, as for training; `decoder_ids` are not looked at.
      max_length: most tokens of a row, the end token among them.
      no_repeat: tokens of the runs that are not written twice, 2 or 3 where a network repeats
        itself; 0 allows all.
      start: token that stands before the first.
      eos: the end token.
      pad: token behind the end.

    Raises:
      TaskError: if `max_length` is less than 1 or `no_repeat` less than 0.
    """
    check_generation("greedy", no_repeat, max_length=max_length)
    return _greedy(module, params, inputs, max_length, no_repeat, start, eos, pad)


@functools.partial(jax.jit, static_argnums=(0, 3, 4, 5, 6, 7))
def _greedy(
    module: nn.Module,
    params: PyTree,
    inputs: PyTree,
    length: int,
    no_repeat: int,
    start: int,
    eos: int,
    pad: int,
) -> Generated:
    rows = rows_of(inputs)

    def unfinished(state: _State) -> Array:
        return (state.position < length) & ~jnp.all(state.ended)

    def write(state: _State) -> _State:
        said, cache = step(module, params, state.last[:, None], state.position, state.cache)
        ids, lengths, scores = state.written
        said = without_repeats(said, ids[:, None], state.position, no_repeat)[:, 0]
        best = jnp.argmax(said, axis=-1).astype(jnp.int32)
        token = jnp.where(state.ended, pad, best)
        gained = jnp.where(state.ended, 0.0, jnp.max(said, axis=-1))
        written = Generated(
            ids.at[:, state.position].set(token),
            lengths + ~state.ended,
            scores + gained,
        )
        return _State(state.position + 1, token, state.ended | (token == eos), written, cache)

    first = _State(
        jnp.int32(0),
        jnp.full(rows, start, jnp.int32),
        jnp.zeros(rows, bool),
        Generated(
            jnp.full((rows, length), pad, jnp.int32),
            jnp.zeros(rows, jnp.int32),
            jnp.zeros(rows, jnp.float32),
        ),
        begin(module, params, inputs, 1, length),
    )
    return jax.lax.while_loop(unfinished, write, first).written
