"""What depends on what, found by replacing inputs and looking for the results that change.

Only forward passes are made and results are compared bit by bit, so leaks through `stop_gradient`,
`argmax` and rounding show, which derivatives cannot see. Replacements are other real values, never
NaN: max-pooling on a CPU drops a NaN, and with it the leak.

In each pass each example takes one of its versions, the real one or another. The passes in which it
takes the same version are a block, and an example whose blocks are {0, 3}, {1, 5}, {2, 4} must give
the same result in passes 0 and 3, whatever the others do. No two examples have the same blocks, and
all have the same number of them; so every other example changes somewhere inside a block, and every
ordered pair is decided. Of 6 passes there are 90 such partitions into three blocks: 6 passes decide
all 992 pairs of 32 examples. Decided means compared under two values of the one example: a leak
that these two values do not show, as that of a sign which both share, is not seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.probing import same_bits
from jrecipe.types import Array, PyTree

Function = Callable[[PyTree], PyTree]


def isolation(
    fn: Function, x: PyTree, *others: PyTree, base: PyTree = None, first: bool = False
) -> PyTree:
    """Finds the examples whose results change although only other examples are replaced.

    Args:
      fn: a deterministic function of a pytree with leading axis n, to a pytree whose leaves have
        leading axis n, or n times something.
      x: its argument; at least two examples.
      *others: one or more replacements, of the structure and shapes of `x`; with two, of which no
        example has equal rows, fewer passes are needed (6 instead of 7 for 32 examples).
      base: `fn(x)` where it is known already; saves a pass.
      first: stop at the first broken example; the others are then not all known.

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
    taken = schedule(n, 1 + len(others))
    results = [fn(_device(x)) if base is None else base]
    broken = jax.tree.map(lambda leaf: np.zeros(n, bool), results[0])
    for k in range(1, len(taken)):
        result = fn(_taking(taken[k], x, *others))
        earlier = np.argmax(taken[:k] == taken[k], axis=0)  # the pass that a block begins with
        begun = (taken[:k] == taken[k]).any(axis=0)
        for known in np.unique(earlier[begun]):
            compared = begun & (earlier == known)
            broken = jax.tree.map(
                lambda so_far, a, b, compared=compared: so_far | (_moved(a, b, n) & compared),
                broken,
                results[known],
                result,
            )
        if first and any(leaf.any() for leaf in jax.tree.leaves(broken)):
            break
        results.append(result)
    return broken


def schedule(n: int, versions: int) -> np.ndarray:
    """Returns which version each example takes in each of the fewest passes.

    Columns are different partitions of the passes into exactly `versions` blocks, so that none
    refines another: the least k with at least n of them (Stirling numbers of the second kind).

    Returns:
      int[k, n], the first row zeros.

    Example:
      >>> schedule(3, 2).tolist()
      [[0, 0, 0], [0, 1, 1], [1, 0, 1]]
      >>> len(schedule(32, 2)), len(schedule(32, 3))
      (7, 6)
    """
    chosen: list[tuple[int, ...]] = []
    for k in itertools.count(versions):
        chosen = [row for row in _growing(k, versions) if max(row) == versions - 1]
        if len(chosen) >= n:
            break
    return np.array(chosen[:n]).T


def _growing(k: int, versions: int) -> Iterator[tuple[int, ...]]:
    """Yields the partitions of k passes into at most `versions` blocks, as block numbers."""
    if k == 1:
        yield (0,)
        return
    for start in _growing(k - 1, versions):
        for block in range(min(max(start) + 2, versions)):
            yield (*start, block)


def _taking(versions: np.ndarray, x: PyTree, *others: PyTree) -> PyTree:
    """Returns the rows of `x` and `others` that `versions` int[n] asks for, on the device."""
    mixed = x
    for k, other in enumerate(others, start=1):
        mixed = replace(mixed, other, versions == k)
    return mixed


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
    return replacements(x, other)[0]


def replacements(x: PyTree, other: PyTree) -> tuple[PyTree, ...]:
    """Returns one or two batches of rows of `other` that differ from those of `x` at their place.

    The second is left out where some example has no third row that differs from both. Of the rows
    that differ, those that do so in the most leaves are taken: in inputs and targets.

    Args:
      x: pytree, leading axis n.
      other: of the same structure and shapes.
    """
    n = _count(x)
    mine, theirs = _row_bytes(x), _row_bytes(other)
    chosen: list[list[int]] = []
    for _ in range(2):
        rows, least = [], len(mine[0])
        for i in range(n):
            taken = [mine[i], *(theirs[batch[i]] for batch in chosen)]
            row, apart = _farthest(taken, theirs, i)
            rows.append(row)
            least = min(least, apart)
        if chosen and least == 0:
            break
        chosen.append(rows)
    return tuple(
        jax.tree.map(lambda leaf, rows=rows: np.asarray(leaf)[rows], other) for rows in chosen
    )


def _farthest(taken: list[list[bytes]], rows: list[list[bytes]], start: int) -> tuple[int, int]:
    """Returns the first row, from `start` on, that differs in the most leaves from those taken."""
    best, most = start, -1
    for shift in range(len(rows)):
        candidate = (start + shift) % len(rows)
        apart = min(sum(a != b for a, b in zip(row, rows[candidate], strict=True)) for row in taken)
        if apart > most:
            best, most = candidate, apart
        if most == len(rows[candidate]):
            break
    return best, most


def _row_bytes(tree: PyTree) -> list[list[bytes]]:
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    return [[leaf[i].tobytes() for leaf in leaves] for i in range(len(leaves[0]))]


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
