"""Other names for what moves with pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jrecipe.augment.fields import FIELDS
from jrecipe.augment.pictures import IMAGE
from jrecipe.types import Augment, Batch, Key, PyTree, TaskError


def renamed(augment: Augment, **names: str) -> Augment:
    """Lets an augmentation find pictures, masks, boxes and key points under names of yours.

    Args:
      augment: knows "image", "mask", "boxes", "boxes_valid", "keypoints", "keypoints_valid".
      **names: for each of these, how it is called in the mappings of your inputs and targets.

    Raises:
      TaskError: for a name that augmentations do not know; or later if a mapping holds both names.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.augment import random_flip
      >>> batch = Batch(jnp.ones((1, 1, 2, 1)), {"road": jnp.array([[[0, 1]]])}, jnp.ones(1))
      >>> flip = renamed(random_flip(1.0), mask="road")
      >>> flip(jax.random.key(0), batch).targets["road"].tolist()
      [[[1, 0]]]
    """
    known = (IMAGE, *FIELDS)
    for name in names:
        if name not in known:
            raise TaskError(f"renamed knows {', '.join(known)}, got {name}={names[name]!r}.")
    to_ours = {theirs: ours for ours, theirs in names.items()}

    def apply(key: Key, batch: Batch) -> Batch:
        ours = augment(key, _batch(batch, to_ours))
        return _batch(ours, names)

    return apply


def _batch(batch: Batch, names: Mapping[str, str]) -> Batch:
    return batch._replace(
        inputs=_rename(batch.inputs, names), targets=_rename(batch.targets, names)
    )


def _rename(tree: PyTree, names: Mapping[str, str]) -> Any:
    if isinstance(tree, Mapping):
        for old, new in names.items():
            if old in tree and new in tree and new not in names:
                raise TaskError(
                    f"renamed finds both {old!r} and {new!r} in one mapping; rename the one that "
                    "is not meant."
                )
        return {names.get(name, name): _rename(value, names) for name, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_rename(value, names) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(_rename(value, names) for value in tree)
    return tree
