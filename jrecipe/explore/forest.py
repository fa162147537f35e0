"""Near neighbours of many points in n log n: trees that split along random directions.

Points that are near each other are seldom parted by a split, so that after a few trees nearly every
pair of near copies has shared a leaf; in a leaf all pairs are compared.
"""

from __future__ import annotations

import numpy as np

LEAF = 64  # points of a leaf, about
_PAIRS = 20_000_000  # distances that are held at once


def neighbours(
    points: np.ndarray,
    k: int,
    *,
    trees: int = 10,
    seed: int = 0,
    same: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns near neighbours of every point; a very near one is missed with a small chance only.

    Args:
      points: float32[n, d].
      k: neighbours kept.
      trees: more find more.
      seed: of the directions.
      same: int[n]; points with the same number are no neighbours of each other. None: all differ.

    Returns:
      `(which int64[n, k], distance float32[n, k])`, nearest first; -1 and infinity where fewer
      were found.

    References:
      Dasgupta, Freund, "Random projection trees and low dimensional manifolds", 2008.
    """
    points = np.asarray(points, np.float32)
    n = len(points)
    same = np.arange(n) if same is None else np.asarray(same)
    which = np.full((n, k), -1, np.int64)
    distance = np.full((n, k), np.inf, np.float32)
    if n < 2:
        return which, distance
    # A small set is one leaf, in which everything is compared.
    levels = max(0, int(np.ceil(np.log2(n / LEAF)))) if n > 2 * LEAF else 0
    for tree in range(trees if levels else 1):
        rng = np.random.default_rng((seed % 2**32, 31, tree))
        leaves = _leaves(points, levels, rng)
        step = max(1, _PAIRS // leaves.shape[1] ** 2)
        for start in range(0, len(leaves), step):
            _merge(points, leaves[start : start + step], same, which, distance)
    return which, distance


def _leaves(points: np.ndarray, levels: int, rng: np.random.Generator) -> np.ndarray:
    """Returns int[2^levels, m], the points of each leaf; some stand in two to make leaves equal."""
    n, count = len(points), 2**levels
    size = -(-n // count)
    extra = rng.integers(0, n, size * count - n)
    order = np.concatenate([rng.permutation(n), extra])[None]
    for _ in range(levels):
        nodes, length = order.shape
        ends = order[np.arange(nodes)[:, None], rng.integers(0, length, (nodes, 2))]
        direction = points[ends[:, 0]] - points[ends[:, 1]]
        direction += 1e-6 * rng.normal(size=direction.shape).astype(np.float32)
        along = np.empty(order.shape, np.float32)
        for start in range(0, nodes, max(1, nodes // 8)):
            part = slice(start, start + max(1, nodes // 8))
            along[part] = np.matmul(points[order[part]], direction[part, :, None])[..., 0]
        halves = np.argpartition(along, length // 2, axis=1)
        order = np.take_along_axis(order, halves, axis=1).reshape(2 * nodes, length // 2)
    return order


def _merge(
    points: np.ndarray,
    leaves: np.ndarray,
    same: np.ndarray,
    which: np.ndarray,
    distance: np.ndarray,
) -> None:
    """Compares all pairs of each leaf and keeps the nearest, in place."""
    k = which.shape[1]
    some = points[leaves]
    size = (some**2).sum(axis=2)
    gaps = size[:, :, None] + size[:, None, :] - 2 * np.matmul(some, some.transpose(0, 2, 1))
    gaps[same[leaves][:, :, None] == same[leaves][:, None, :]] = np.inf
    few = min(k, gaps.shape[2])
    near = np.argpartition(gaps, few - 1, axis=2)[:, :, :few]
    found = np.take_along_axis(gaps, near, axis=2).reshape(-1, few)
    who = np.take_along_axis(leaves[:, None, :].repeat(leaves.shape[1], 1), near, axis=2)
    who = who.reshape(-1, few)
    rows, first = np.unique(leaves.reshape(-1), return_index=True)
    found, who = np.sqrt(np.maximum(found[first], 0)), who[first]
    who = np.where(np.isfinite(found), who, -1)
    both = np.concatenate([which[rows], who], axis=1)
    apart = np.concatenate([distance[rows], found], axis=1)
    # The same neighbour from two trees counts once.
    by_name = np.argsort(both, axis=1, kind="stable")
    both = np.take_along_axis(both, by_name, axis=1)
    apart = np.take_along_axis(apart, by_name, axis=1)
    again = np.zeros(both.shape, bool)
    again[:, 1:] = both[:, 1:] == both[:, :-1]
    apart[again] = np.inf
    both[again] = -1
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :k]
    which[rows] = np.take_along_axis(both, nearest, axis=1)
    distance[rows] = np.take_along_axis(apart, nearest, axis=1)
