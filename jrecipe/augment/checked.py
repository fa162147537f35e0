"""Holding an augmentation of one's own to the contract: structure, shapes and dtypes stay (D2)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jrecipe.augment.fields import has_fields, validate
from jrecipe.types import Augment, Batch, Key, PyTree, TaskError


def checked(augment: Augment, *, soft_targets: bool = False) -> Augment:
    """Wraps an augmentation so that breaking the contract is an error.

    What it costs, it costs once: shapes are looked at while tracing. Outside of `jit` values are
    looked at as well: boxes and key points of the batch given and of the batch made.

    Args:
      augment: `(key, batch) -> batch`.
      soft_targets: targets may change their shapes and dtypes, as mixup makes class indices soft.

    Raises:
      TaskError: from the augmentation, if it returns no `Batch`, or changes the structure, a shape
        or a dtype; or if masks, boxes or key points do not fit the pictures, before or after.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> half = lambda key, batch: batch._replace(inputs=batch.inputs[:, ::2, ::2])
      >>> batch = Batch(jnp.ones((2, 8, 8, 1)), jnp.zeros(2), jnp.ones(2))
      >>> checked(half)(jax.random.key(0), batch)
      Traceback (most recent call last):
        ...
      jrecipe.types.TaskError: augment changes inputs from float32[2,8,8,1] to float32[2,4,4,1]; ...
    """

    def apply(key: Key, batch: Batch) -> Batch:
        if has_fields(batch):
            validate(batch, "augment")
        changed = augment(key, batch)
        require_kept("augment", batch, changed, soft_targets=soft_targets)
        if has_fields(changed):
            validate(changed, "augment")
        return changed

    return apply


def require_kept(name: str, before: Batch, after: Any, *, soft_targets: bool = False) -> None:
    """Raises TaskError unless an augmentation kept structure, shapes and dtypes.

    Args:
      name: what the message calls the augmentation.
      before: the batch given.
      after: what was returned.
      soft_targets: leave targets out.
    """
    if not isinstance(after, Batch):
        raise TaskError(
            f"{name} returned a {type(after).__name__}; return a Batch, as with "
            "batch._replace(inputs=...)."
        )
    if soft_targets:
        after = after._replace(targets=before.targets)
    old, new = _leaves(before), _leaves(after)
    if [*old] != [*new]:
        lost, made = sorted({*old} - {*new}), sorted({*new} - {*old})
        raise TaskError(
            f"{name} changes the structure of the batch: without {lost}, with {made}; return the "
            "same leaves in the same order."
        )
    for where, one in old.items():
        a, b = jnp.shape(one), jnp.shape(new[where])
        types = jnp.result_type(one), jnp.result_type(new[where])
        if a != b or types[0] != types[1]:
            raise TaskError(
                f"{name} changes {where} from {_layout(a, types[0])} to {_layout(b, types[1])}; an "
                "augmentation keeps shapes and dtypes: resize before training, convert back with "
                ".astype, and give mixup soft targets."
            )


def _leaves(batch: Batch) -> dict[str, PyTree]:
    return {
        jax.tree_util.keystr(path).removeprefix("."): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(batch)
    }


def _layout(shape: tuple[int, ...], dtype: Any) -> str:
    return f"{dtype}[{','.join(map(str, shape))}]"
