"""What depends on what, found by replacing inputs and looking for the results that change.

Only forward passes are made and results are compared bit by bit, so leaks through `stop_gradient`,
`argmax` and rounding show, which derivatives cannot see. Replacements are other real values, never
NaN: max-pooling on a CPU drops a NaN, and with it the leak.

Two indices differ in some bit. So among the splits of the examples by each bit of their index, and
the complements, every ordered pair is separated once: 2 log2(n) passes decide all n (n - 1) pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.probing import same_bits
from jrecipe.types import Array, PyTree

Function = Callable[[PyTree], PyTree]


def isolation(fn: Function, x: PyTree, other: PyTree) -> PyTree:
    """Finds the examples whose results change although only other examples are replaced.

    Args:
      fn: a deterministic function of a pytree with leading axis n, to a pytree whose leaves have
        leading axis n, or n times something.
      x: its argument; at least two examples.
      other: replacements, of the structure and shapes of `x`.

    Returns:
      The structure of `fn(x)` with bool[n] as leaves: True where isolation is broken. A leaf
      without the examples along its leading axis counts as isolated.

    Example:
      >>> x, other = np.arange(4.0), np.arange(4.0) + 10
      >>> isolation(lambda x: x * 2, x, other).tolist()
      [False, False, False, False]
      >>> isolation(lambda x: x + x[2], x, other).tolist()
      [True, True, False, True]
    """
    n = _count(x)
    base = fn(_device(x))
    broken = jax.tree.map(lambda leaf: np.zeros(n, bool), base)
    for replaced in bit_splits(n):
        result = fn(replace(x, other, replaced))
        broken = jax.tree.map(
            lambda so_far, a, b, replaced=replaced: so_far | (_moved(a, b, n) & ~replaced),
            broken,
            base,
            result,
        )
    return broken


def bit_splits(n: int) -> list[np.ndarray]:
    """Returns bool[n] masks that separate every ordered pair of 0..n-1: each bit, both ways.

    Example:
      >>> [mask.tolist() for mask in bit_splits(2)]
      [[True, False], [False, True]]
    """
    index = np.arange(n)
    return [(index >> bit & 1) == side for bit in range((n - 1).bit_length()) for side in (0, 1)]


def example_map(fn: Function, x: PyTree, other: PyTree) -> np.ndarray:
    """Returns bool[n, n]: whether replacing example i alone changes any result of example j.

    Takes n passes; `isolation` says with fewer whether there is anything to find.

    Args:
      fn: as in `isolation`.
      x: its argument.
      other: replacements.
    """
    n = _count(x)
    base = fn(_device(x))
    rows = []
    for i in range(n):
        result = fn(replace(x, other, np.arange(n) == i))
        moved = [
            _moved(a, b, n)
            for a, b in zip(jax.tree.leaves(base), jax.tree.leaves(result), strict=True)
        ]
        rows.append(np.any(moved, axis=0))
    return np.stack(rows)


def dependency_map(
    fn: Function, x: PyTree, in_axis: int, out_axis: int, *, others: PyTree
) -> np.ndarray:
    """Finds which indices of an axis of the output depend on which indices of an axis of the input.

    Args:
      fn: a deterministic function of an array, or of a pytree.
      x: its argument. Leaves that lack `in_axis` are left alone.
      in_axis: axis of the input.
      out_axis: axis of the output.
      others: real values to replace those of `x` with, of the same structure and shapes.

    Returns:
      bool[n_in, n_out]. True is certain. False means that this replacement of this one index
      changed nothing, to the last bit.

    Raises:
      ValueError: if no leaf has the axis.

    Example:
      >>> x = np.array([[1.0, 2.0, 3.0]])
      >>> dependency_map(lambda x: jnp.cumsum(x, 1), x, 1, 1, others=x + 1).astype(int).tolist()
      [[1, 1, 1], [0, 1, 1], [0, 0, 1]]
    """
    size = axis_size(x, in_axis)
    base = fn(_device(x))
    axis_size(base, out_axis)
    return np.stack(
        [
            _moved_along(
                base, fn(replace_along(x, others, in_axis, np.arange(size) == i)), out_axis
            )
            for i in range(size)
        ]
    )


def prefix_leaks(
    fn: Function, x: PyTree, other: PyTree, axis: int, *, strict: bool, cuts: Sequence[int]
) -> dict[int, np.ndarray]:
    """Replaces all inputs after a position, and looks for earlier outputs that change.

    Args:
      fn: a deterministic function.
      x: its argument.
      other: replacements.
      axis: of inputs and outputs alike.
      strict: output t may depend on inputs before t only; otherwise on inputs up to t.
      cuts: the positions t to try. A pair (i, j) with j <= t < i is tried by the cut t.

    Returns:
      cut t -> outputs int[k], all <= t, that changed though no input they may depend on did; only
      cuts with any.
    """
    size = axis_size(x, axis)
    base = fn(_device(x))
    leaks = {}
    for t in cuts:
        replaced = np.arange(size) >= (t if strict else t + 1)
        if not replaced.any():
            continue
        moved = _moved_along(base, fn(replace_along(x, other, axis, replaced)), axis)
        early = np.flatnonzero(moved[: t + 1])
        if len(early):
            leaks[int(t)] = early
    return leaks


def replace(x: PyTree, other: PyTree, examples: np.ndarray) -> PyTree:
    """Returns `x` with the rows of `other` where `examples` bool[n] is True, on the device."""
    return replace_along(x, other, 0, examples)


def replace_along(x: PyTree, other: PyTree, axis: int, where: np.ndarray) -> PyTree:
    """Returns `x` with values of `other` at the indices `where` bool[n] of an axis."""

    def one(a: Array, b: Array) -> jax.Array:
        a, b = np.asarray(a), np.asarray(b)
        if a.ndim <= axis or a.shape[axis] != len(where):
            return jnp.asarray(a)
        mask = where.reshape([-1 if k == axis else 1 for k in range(a.ndim)])
        mixed: Any = np.where(mask, b, a)
        return jnp.asarray(mixed.astype(a.dtype))

    return jax.tree.map(one, x, other)


def really_other(x: PyTree, other: PyTree) -> PyTree:
    """Returns `other` with rows exchanged where a row equals that of `x`, if there are others."""
    n = _count(x)
    rows = np.arange(n)
    for i in range(n):
        for shift in range(n):
            candidate = (i + shift) % n
            pairs = zip(jax.tree.leaves(x), jax.tree.leaves(other), strict=True)
            if any(not same_bits(a[i], b[candidate]).all() for a, b in pairs):
                rows[i] = candidate
                break
    return jax.tree.map(lambda leaf: np.asarray(leaf)[rows], other)


def axis_size(tree: PyTree, axis: int) -> int:
    """Returns the size of an axis, of the first leaf that has it.

    Raises:
      ValueError: if no leaf has the axis.
    """
    for leaf in jax.tree.leaves(tree):
        if np.ndim(leaf) > axis:
            return int(np.shape(leaf)[axis])
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(tree)]
    raise ValueError(f"dependency_map needs an array with axis {axis}, got shapes {shapes}.")


def _moved(a: Array, b: Array, n: int) -> np.ndarray:
    """Returns bool[n]: examples whose part of a result changed."""
    same = same_bits(a, b)
    if same.ndim == 0 or same.shape[0] == 0 or same.shape[0] % n:
        return np.zeros(n, bool)
    moved: Any = ~same.reshape(n, -1).all(axis=1)
    return moved


def _moved_along(a: PyTree, b: PyTree, axis: int) -> np.ndarray:
    """Returns bool[n]: indices of an axis at which any leaf changed."""
    size = axis_size(a, axis)
    moved: Any = np.zeros(size, bool)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        same = same_bits(x, y)
        if same.ndim > axis and same.shape[axis] == size:
            moved = moved | ~np.moveaxis(same, axis, 0).reshape(size, -1).all(axis=1)
    return moved


def _count(tree: PyTree) -> int:
    return len(jax.tree.leaves(tree)[0])


def _device(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.asarray, tree)
