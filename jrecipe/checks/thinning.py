"""Dropout by hand: does a layer get in evaluation what it gets on average in training (G12)?"""

from __future__ import annotations

import dataclasses

import numpy as np

SLACK = 0.1  # how far the average may be from what evaluation feeds, as a share of it
_EQUAL = 1e-3  # relative spread of the factors that count as one


@dataclasses.dataclass(frozen=True)
class Thinning:
    """Values of which training keeps a part.

    Attributes:
      kept: share of the values that are not set to zero, in (0, 1).
      factor: what the others are multiplied by.
    """

    kept: float
    factor: float

    @property
    def average(self) -> float:
        """What a value is multiplied by on average; dropout makes it 1."""
        return self.kept * self.factor


def find_thinning(evaluation: np.ndarray, training: np.ndarray) -> Thinning | None:
    """Returns how training thins out the values that evaluation has, None if it does not.

    Only values dropped one by one count. Whole vectors set to zero are masked tokens or channels,
    for which nothing needs to make up.

    Args:
      evaluation: float[..., d], what enters a layer in evaluation mode.
      training: the same in training mode, for one draw.

    Source: Srivastava et al., "Dropout", JMLR 2014, section 10: scale at training or test time.

    Example:
      >>> values, keep = np.ones((999, 8)), np.random.default_rng(0).random((999, 8)) < 0.8
      >>> round(find_thinning(values, values * keep).average, 1)
      0.8
      >>> round(find_thinning(values, values * keep / 0.8).average, 1)
      1.0
      >>> find_thinning(values, values + 0.1 * keep) is None
      True
    """
    a, b = (np.asarray(x).astype(np.float64) for x in (evaluation, training))
    if a.shape != b.shape or a.ndim < 2 or a.shape[-1] < 2 or (b[a == 0] != 0).any():
        return None
    there, kept = a != 0, (a != 0) & (b != 0)
    if not there.any() or not 0.02 < kept.sum() / there.sum() < 0.98:
        return None
    factors = b[kept] / a[kept]
    factor = float(np.median(factors))
    if not np.isfinite(factor) or np.abs(factors - factor).max() > _EQUAL * abs(factor):
        return None
    some = there.sum(axis=-1) > 1
    mixed = some & kept.any(axis=-1) & (there & ~kept).any(axis=-1)
    if mixed.sum() < 0.5 * some.sum():
        return None
    return Thinning(float(kept.sum() / there.sum()), factor)
