"""Frozen parameters by path: no update reaches them, weight decay included (H5, J2)."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

import jax
import optax

from jrecipe.types import Array, PyTree, TaskError


def path_name(path: Sequence[object]) -> str:
    """Returns the name of a leaf, such as "encoder/Dense_0/kernel"."""
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def frozen_mask(params: PyTree, patterns: Sequence[str]) -> PyTree:
    """Returns a tree of bools like `params`, True where a pattern names the leaf's path.

    Args:
      params: the parameters.
      patterns: shell-style patterns over paths, as "encoder/*" or "*/bias".

    Raises:
      TaskError: if a pattern matches no parameter.
    """
    names = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in names):
            raise TaskError(
                f"Task.frozen has the pattern {pattern!r}, which matches no parameter; "
                f"there are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}."
            )

    def is_frozen(path: Sequence[object], _: object) -> bool:
        return any(fnmatch.fnmatchcase(path_name(path), pattern) for pattern in patterns)

    return jax.tree_util.tree_map_with_path(is_frozen, params)


def split_frozen(
    params: PyTree, patterns: Sequence[str]
) -> tuple[list[Array], Callable[[Sequence[Array]], PyTree]]:
    """Takes the trained leaves out of the parameters, so that only they are differentiated.

    Args:
      params: the parameters.
      patterns: see `frozen_mask`.

    Returns:
      The leaves that are not frozen, and a function that puts such leaves back among the frozen
      ones of `params`.

    Raises:
      TaskError: if a pattern matches no parameter.

    Example:
      >>> trained, join = split_frozen({"body": 1.0, "head": 2.0}, ("body",))
      >>> trained, join([3.0])
      ([2.0], {'body': 1.0, 'head': 3.0})
    """
    leaves, structure = jax.tree.flatten(params)
    frozen = jax.tree.leaves(frozen_mask(params, patterns))

    def join(trained: Sequence[Array]) -> PyTree:
        given = iter(trained)
        both = [leaf if still else next(given) for leaf, still in zip(leaves, frozen, strict=True)]
        return jax.tree.unflatten(structure, both)

    return [leaf for leaf, still in zip(leaves, frozen, strict=True) if not still], join


def freeze(
    tx: optax.GradientTransformation, patterns: Sequence[str]
) -> optax.GradientTransformation:
    """Wraps an optimiser so that parameters whose path matches `patterns` stay bit-identical.

    The optimiser keeps no state for them.
    """
    if not patterns:
        return tx

    def labels(params: PyTree) -> PyTree:
        mask = frozen_mask(params, patterns)
        return jax.tree.map(lambda frozen: "frozen" if frozen else "trained", mask)

    return optax.partition({"trained": tx, "frozen": optax.set_to_zero()}, labels)
