"""How far each example is from all others (A8)."""

from __future__ import annotations

import numpy as np

from jrecipe.explore.forest import neighbours

_NEAR = 6


def outlier_scores(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Returns the distance to the nearest few over its median, float32[n]; 1 is usual.

    Args:
      points: float32[n, d].
      seed: of the search.

    References:
      Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining outliers", 2000.
    """
    if len(points) < 3:
        return np.ones(len(points), np.float32)
    _, distance = neighbours(points, min(_NEAR, len(points) - 1), trees=4, seed=seed)
    known = np.where(np.isfinite(distance), distance, np.nan)
    far = np.nanmean(known, axis=1)
    usual = np.nanmedian(far)
    score: np.ndarray = far / max(float(usual), 1e-12)
    return score.astype(np.float32)
