"""Several augmentations as one."""

from __future__ import annotations

import jax

from jrecipe.types import Augment, Batch, Key


def compose(*augments: Augment) -> Augment:
    """Applies `augments` left to right, each with a key of its own; none gives the identity."""

    def apply(key: Key, batch: Batch) -> Batch:
        for i, augment in enumerate(augments):
            batch = augment(jax.random.fold_in(key, i), batch)
        return batch

    return apply
