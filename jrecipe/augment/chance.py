"""Augmentations by chance, for each example by itself (D2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.checked import require_kept
from jrecipe.augment.draws import draws
from jrecipe.augment.numbers import require_probability
from jrecipe.types import Array, Augment, Batch, Key, TaskError


def apply_with(p: float | Array, augment: Augment) -> Augment:
    """Applies an augmentation to each example with chance `p`, independently.

    It is computed for all and kept for some, since all examples of a batch take the same way.

    Args:
      p: in [0, 1]. May be traced.
      augment: keeps structure, shapes and dtypes.

    Raises:
      TaskError: if `p` is not a probability, or later if the augmentation changes shapes (as mixup
        does to class indices: give soft targets).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> negative = lambda key, batch: batch._replace(inputs=-batch.inputs)
      >>> batch = Batch(jnp.ones(1000), jnp.ones(1000), jnp.ones(1000))
      >>> done = apply_with(0.3, negative)(jax.random.key(0), batch).inputs
      >>> 0.25 < float((done < 0).mean()) < 0.35
      True
    """
    require_probability("apply_with", p)

    def apply(key: Key, batch: Batch) -> Batch:
        chance, inner = (jax.random.fold_in(key, i) for i in range(2))
        changed = augment(inner, batch)
        require_kept("apply_with", batch, changed)
        chosen = draws(chance, _count(batch))[0] < p
        return jax.tree.map(lambda new, old: _pick(chosen, new, old), changed, batch)

    return apply


def one_of(*augments: Augment, shares: tuple[float, ...] | None = None) -> Augment:
    """Applies one of some augmentations to each example, drawn independently.

    All are computed for all examples; the cost is the sum.

    Args:
      *augments: at least one; each keeps structure, shapes and dtypes.
      shares: how often each is drawn, relative to one another; default equally often.

    Raises:
      TaskError: if there are none, or `shares` are not one number >= 0 for each with a sum above 0;
        or later if one changes shapes.
    """
    if not augments:
        raise TaskError("one_of needs at least one augmentation, got none.")
    weights = np.ones(len(augments)) if shares is None else np.asarray(shares, np.float64)
    usable = weights.shape == (len(augments),) and bool((weights >= 0).all()) and weights.sum() > 0
    if not usable or not np.isfinite(weights).all():
        raise TaskError(
            f"one_of needs `shares` >= 0 for each of {len(augments)} augmentations, not all 0, got "
            f"{shares=}."
        )
    below = np.cumsum(weights / weights.sum())[:-1].astype(np.float32)

    def apply(key: Key, batch: Batch) -> Batch:
        draw = draws(jax.random.fold_in(key, 0), _count(batch))[0]
        which = jnp.searchsorted(jnp.asarray(below), draw, side="right")
        result = batch
        for i, augment in enumerate(augments):
            changed = augment(jax.random.fold_in(key, i + 1), batch)
            require_kept("one_of", batch, changed)
            result = jax.tree.map(
                lambda new, old, i=i: _pick(which == i, new, old), changed, result
            )
        return result

    return apply


def _count(batch: Batch) -> int:
    return int(jax.tree.leaves(batch.inputs)[0].shape[0])


def _pick(chosen: Array, new: Array, old: Array) -> Array:
    return new if new is old else jnp.where(chosen.reshape(-1, *[1] * (old.ndim - 1)), new, old)
