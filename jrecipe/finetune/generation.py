"""What `greedy` and `beam_search` return, and what they ask for (J5)."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax

from jrecipe.models.cache import Cache
from jrecipe.types import Array, PyTree, TaskError


class Generated(NamedTuple):
    """Sequences that a network wrote.

    Attributes:
      ids: int32[b, max_length], without the start token; the end token is part of them, and behind
        it stands padding. A row that reached `max_length` first has no end token.
      lengths: int32[b], tokens written, the end token among them.
      scores: float32[b], log-probability of the row in nats, from `beam_search` divided by
        `lengths ** length_penalty`.
    """

    ids: Array
    lengths: Array
    scores: Array


def check_generation(owner: str, no_repeat: int, **numbers: int) -> None:
    """Raises TaskError unless each of `numbers` is at least 1, and `no_repeat` at least 0."""
    if no_repeat < 0:
        raise TaskError(
            f"{owner} needs no_repeat of at least 0, got no_repeat={no_repeat}; 0 allows repeats."
        )
    for name, value in numbers.items():
        if value < 1:
            raise TaskError(f"{owner} needs {name} of at least 1, got {name}={value}.")


def rows_of(inputs: PyTree) -> int:
    """Returns how many examples a batch of inputs has."""
    return jax.tree.leaves(inputs)[0].shape[0]


def begin(module: nn.Module, params: PyTree, inputs: PyTree, beams: int, length: int) -> Cache:
    """Returns what a network keeps while it writes, before the first token."""
    cache: Any = module.apply({"params": params}, inputs, beams, length, method="begin")
    return cache


def step(
    module: nn.Module, params: PyTree, tokens: Array, position: Array, cache: Cache
) -> tuple[Array, Cache]:
    """Returns the log-probabilities float32[b, beams, v] of the next token, and the new cache."""
    answer: Any = module.apply({"params": params}, tokens, position, cache, method="step")
    logits, cache = answer
    return jax.nn.log_softmax(logits), cache
