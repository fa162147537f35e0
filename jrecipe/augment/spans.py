"""Spans of tokens hidden from the network (D2, D5)."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jrecipe.augment.numbers import is_concrete, require_probability
from jrecipe.augment.tokens import (
    along_with_tokens,
    changeable,
    closed_up,
    require_ids,
    tokens_of,
)
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def span_masking(
    share: float | Array = 0.15,
    *,
    mean_length: float = 3.0,
    mask_id: int | None = None,
    sentinel_ids: Sequence[int] = (),
    pad_id: int = 0,
    special_ids: Sequence[int] = (),
    target_pad: int = 0,
) -> Augment:
    """Hides spans of tokens: each token of a span becomes `mask_id`, or each span one sentinel.

    Spans have geometric lengths and begin anywhere, so that a token is hidden with chance `share`;
    those that touch are one. Padding and special ids stay, and end a span.

    Args:
      share: of the tokens hidden, in [0, 1), in the mean. May be traced.
      mean_length: of spans before they touch, >= 1.
      mask_id: stands in for every hidden token (as BERT); lengths stay.
      sentinel_ids: the first span becomes the first of these, and so on (as T5); the text closes
        up and is padded at the end, and what else the batch has [b, t, ...] moves along. More spans
        than sentinels are left as they are.
      pad_id: padding.
      special_ids: others that stay.
      target_pad: what labels of tokens have at the end; other leaves get 0.

    Raises:
      TaskError: unless exactly one of `mask_id` and `sentinel_ids` is given; if a number is out of
        range; or later if the inputs are no token ids int[b, t].

    References:
      Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
      Transformer", 2019, arXiv:1910.10683; Joshi et al., "SpanBERT", 2019, arXiv:1907.10529.
    """
    require_probability("span_masking", share, "share")
    if is_concrete(share) and share == 1.0:
        raise TaskError(f"span_masking needs `share` below 1, got {share=}; 0.15 is usual.")
    if (mask_id is None) == (len(sentinel_ids) == 0):
        raise TaskError(
            f"span_masking needs either `mask_id` or `sentinel_ids`, got {mask_id=} and "
            f"{sentinel_ids=}; give one of them."
        )
    if not mean_length >= 1:
        raise TaskError(f"span_masking needs `mean_length` >= 1, got {mean_length=}; try 3.")
    require_ids("span_masking", mask_id=mask_id, sentinel_ids=sentinel_ids, pad_id=pad_id)
    require_ids("span_masking", special_ids=special_ids)

    def apply(key: Key, batch: Batch) -> Batch:
        _, tokens = tokens_of(batch, "span_masking")
        can = changeable(tokens, pad_id, special_ids)
        hidden = can & drawn_spans(key, tokens.shape, share, mean_length)
        if mask_id is not None:
            masked = jnp.where(hidden, mask_id, tokens)
            return along_with_tokens(batch, "span_masking", masked, lambda leaf, _: leaf)
        first = hidden & ~jnp.pad(hidden, ((0, 0), (1, 0)))[:, :-1]
        number = jnp.cumsum(first, axis=1) - 1
        hidden &= number < len(sentinel_ids)
        first &= hidden
        sentinel = jnp.array(sentinel_ids)[jnp.clip(number, 0, len(sentinel_ids) - 1)]
        shortened = jnp.where(first, sentinel.astype(tokens.dtype), tokens)
        keep = first | ~hidden
        return along_with_tokens(
            batch,
            "span_masking",
            closed_up(shortened, keep, pad_id),
            lambda leaf, part: closed_up(leaf, keep, target_pad if part else 0),
        )

    return apply


def drawn_spans(
    key: Key, shape: tuple[int, int], share: float | Array, mean_length: float
) -> Array:
    """Draws bool[b, t]: a chain that enters spans and leaves them, in its stationary state.

    A token is in a span with chance `share`, and a span lasts `mean_length` tokens in the mean
    (longer where `share` leaves no room between spans).
    """
    b, t = shape
    leave = jnp.minimum(1 / mean_length, (1 - share) / jnp.maximum(share, 1e-9))
    enter = leave * share / (1 - share)
    draws = jax.random.uniform(key, (t, b))

    def step(inside: Array, draw: Array) -> tuple[Array, Array]:
        inside = jnp.where(inside, draw >= leave, draw < enter)
        return inside, inside

    first = draws[0] < share
    _, rest = jax.lax.scan(step, first, draws[1:])
    return jnp.concatenate([first[None], rest]).T
