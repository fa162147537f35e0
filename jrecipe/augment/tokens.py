"""Where the tokens of a batch are, and what belongs to each of them.

Tokens are the inputs themselves, int[b, t], or the one leaf of the inputs that is called "tokens".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.fields import Path, with_leaves
from jrecipe.augment.pictures import last_name
from jrecipe.types import Array, Batch, TaskError

TOKENS = "tokens"


def tokens_of(batch: Batch, name: str) -> tuple[Path, Array]:
    """Returns the path in `(inputs, targets)` and the token ids int[b, t].

    Raises:
      TaskError: if there are none, or several, or they are no integers [b, t].
    """
    leaves = jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets))
    found = [
        (path, leaf)
        for path, leaf in leaves
        if path[0].idx == 0 and (len(path) == 1 or last_name(path) == TOKENS)
    ]
    if len(found) != 1:
        raise TaskError(
            f"{name} needs token ids int[b, t] as inputs, got {type(batch.inputs).__name__} with "
            f"{len(found)} leaves called 'tokens'; give the ids themselves, or one "
            "inputs['tokens']."
        )
    path, tokens = found[0]
    if np.ndim(tokens) != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TaskError(
            f"{name} needs token ids int[b, t] as inputs, got {tokens.dtype}{list(tokens.shape)}; "
            "encode text first, and pad it to one length."
        )
    return path, tokens


def changeable(tokens: Array, pad_id: int, special_ids: Sequence[int]) -> Array:
    """Returns bool[b, t]: tokens that are neither padding nor special."""
    fixed = jnp.array([pad_id, *special_ids])
    return jnp.all(tokens[..., None] != fixed[None, None], axis=-1)


def along_with_tokens(
    batch: Batch, name: str, tokens: Array, move: Callable[[Array, int], Array]
) -> Batch:
    """Returns the batch with other tokens, and `move` done to all that each token has of its own.

    That is every other leaf [b, t, ...] of inputs (attention masks, positions) and targets (labels
    of tokens); `move` is told 0 for a leaf of the inputs, 1 for one of the targets.
    """
    path, old = tokens_of(batch, name)
    leaves = jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets))
    new = {
        other: move(leaf, other[0].idx)
        for other, leaf in leaves
        if other != path and np.ndim(leaf) >= 2 and leaf.shape[:2] == old.shape
    }
    return with_leaves(batch, {**new, path: tokens.astype(old.dtype)})


def closed_up(values: Array, keep: Array, end: float) -> Array:
    """Moves what is kept to the left, in order, and fills the end of each row.

    Args:
      values: [b, t, ...].
      keep: bool[b, t].
      end: what to fill with.
    """
    order = jnp.argsort(~keep, axis=1, stable=True)
    kept = jnp.take_along_axis(keep, order, axis=1)
    rest = (1,) * (values.ndim - 2)
    moved = jnp.take_along_axis(values, order.reshape(*order.shape, *rest), axis=1)
    return jnp.where(kept.reshape(*kept.shape, *rest), moved, jnp.asarray(end, values.dtype))


def require_ids(name: str, **ids: int | Sequence[int] | None) -> None:
    """Raises TaskError unless each is a whole number, or some of them."""
    for argument, value in ids.items():
        numbers = np.ravel([] if value is None else value)
        if numbers.size and not np.issubdtype(numbers.dtype, np.integer):
            raise TaskError(f"{name} needs token ids as whole numbers, got {argument}={value!r}.")
