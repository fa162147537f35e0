"""Tokens left out or exchanged (D2). Padding and special ids are never touched."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jrecipe.augment.numbers import require_probability
from jrecipe.augment.tokens import (
    along_with_tokens,
    changeable,
    closed_up,
    require_ids,
    tokens_of,
)
from jrecipe.types import Array, Augment, Batch, Key


def token_dropout(
    p: float | Array = 0.1,
    *,
    mask_id: int | None = None,
    pad_id: int = 0,
    special_ids: Sequence[int] = (),
    target_pad: int = 0,
) -> Augment:
    """Leaves out each token with chance `p`.

    Args:
      p: in [0, 1]. May be traced.
      mask_id: what stands in for it; None closes the gap and pads at the end. Then everything else
        [b, t, ...] in the batch (attention mask, labels of tokens) moves along, and one token
        always remains.
      pad_id: padding, which stays.
      special_ids: others that stay, as the first and last token may be.
      target_pad: what labels of tokens have at the end; other leaves get 0.

    Raises:
      TaskError: if `p` is not a probability or an id no whole number; or later if the inputs are no
        token ids int[b, t].

    References:
      Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on Text
      Classification Tasks", 2019, arXiv:1901.11196 (random deletion).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.array([[1, 5, 6, 7, 2, 0]]), jnp.array([1]), jnp.ones(1))
      >>> drop = token_dropout(1.0, mask_id=4, special_ids=(1, 2))
      >>> drop(jax.random.key(0), batch).inputs.tolist()
      [[1, 4, 4, 4, 2, 0]]
    """
    require_probability("token_dropout", p)
    require_ids("token_dropout", mask_id=mask_id, pad_id=pad_id, special_ids=special_ids)

    def apply(key: Key, batch: Batch) -> Batch:
        _, tokens = tokens_of(batch, "token_dropout")
        can = changeable(tokens, pad_id, special_ids)
        draw = jax.random.uniform(key, tokens.shape)
        drop = can & (draw < p)
        if mask_id is not None:
            kept = jnp.where(drop, mask_id, tokens)
            return along_with_tokens(batch, "token_dropout", kept, lambda leaf, _: leaf)
        last = can & (draw == jnp.max(jnp.where(can, draw, -1.0), axis=1, keepdims=True))
        keep = ~drop | last
        return along_with_tokens(
            batch,
            "token_dropout",
            closed_up(tokens, keep, pad_id),
            lambda leaf, part: closed_up(leaf, keep, target_pad if part else 0),
        )

    return apply


def token_swap(
    p: float | Array = 0.1, *, pad_id: int = 0, special_ids: Sequence[int] = ()
) -> Augment:
    """Exchanges tokens with the next: each pair of neighbours with chance `p`.

    Pairs are the first and second token, the third and fourth, ... or, by even chance for each
    example, the second and third, ...; a pair with padding or a special id stays. Labels of tokens
    [b, t, ...] move along; attention masks are alike within a pair.

    Args:
      p: in [0, 1]. May be traced.
      pad_id: padding, which stays.
      special_ids: others that stay.

    Raises:
      TaskError: as `token_dropout`.
    """
    require_probability("token_swap", p)
    require_ids("token_swap", pad_id=pad_id, special_ids=special_ids)

    def apply(key: Key, batch: Batch) -> Batch:
        _, tokens = tokens_of(batch, "token_swap")
        b, t = tokens.shape
        chance, start = (jax.random.fold_in(key, i) for i in range(2))
        odd = jax.random.bernoulli(start, 0.5, (b, 1)).astype(jnp.int32)
        at = jnp.arange(t)[None]
        first = (at % 2 == odd) & (at < t - 1)  # the left one of a pair
        can = changeable(tokens, pad_id, special_ids)
        swap = first & can & jnp.roll(can, -1, axis=1)
        swap &= jax.random.uniform(chance, (b, t)) < p
        order = at + swap - jnp.roll(swap, 1, axis=1)

        def move(leaf: Array) -> Array:
            return jnp.take_along_axis(leaf, order.reshape(b, t, *[1] * (leaf.ndim - 2)), axis=1)

        return along_with_tokens(batch, "token_swap", move(tokens), lambda leaf, _: move(leaf))

    return apply
