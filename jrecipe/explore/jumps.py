"""When a neighbour is too near to be one by nature: far nearer than the next ones are.

How much nearer rows are to their nearest than to the next depends on how many directions the data
vary in. So the ratio below which a pair counts as copies is that at which no row in ten thousand
would be so near by chance.
"""

from __future__ import annotations

import numpy as np

from jrecipe.checks.near_duplicates import directions, natural_share

CHANCE = 1e-4  # expected number of false copies for each row
LARGEST, SMALLEST = 0.55, 1e-3  # ratios that are considered


def largest_ratio(distance: np.ndarray) -> float:
    """Returns the ratio of a distance to the next below which a pair is no chance.

    Args:
      distance: float[n, k], of points to their nearest, nearest first.
    """
    known = np.isfinite(distance).all(axis=1)
    dimensions = directions(distance[known].astype(np.float64)) if known.any() else 1.0
    ratios = np.geomspace(LARGEST, SMALLEST, 60)
    rare = [ratio for ratio in ratios if natural_share(float(ratio), dimensions) <= CHANCE]
    return float(rare[0]) if rare else 0.0


def nearer_by_far(distance: np.ndarray, ratio: float) -> np.ndarray:
    """Returns how many of a row's nearest neighbours are copies, int[n].

    These are all before the largest jump, if what is beyond is more than `1 / ratio` times as far.

    Args:
      distance: float[n, k], nearest first; infinite where there is no neighbour.
      ratio: below 1.

    Example:
      >>> nearer_by_far(np.array([[0.1, 0.12, 1.0], [0.8, 0.9, 1.0]]), 0.3).tolist()
      [2, 0]
    """
    if distance.shape[1] < 2:
        return np.zeros(len(distance), int)
    # Two infinite distances make no jump.
    beyond = np.where(np.isfinite(distance[:, 1:]), distance[:, 1:], 0.0)
    small = distance[:, :-1] < ratio * beyond
    last = small.shape[1] - small[:, ::-1].argmax(axis=1)
    count: np.ndarray = np.where(small.any(axis=1), last, 0)
    return count
