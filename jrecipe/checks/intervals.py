"""Intervals of shares and of paired differences, for judges."""

from __future__ import annotations

import math

import numpy as np


def wilson(successes: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Returns the Wilson score interval of a share.

    Args:
      successes: number of successes, 0 to n.
      n: number of trials; 0 gives (0, 1).
      z: normal quantile; 1.96 for 95 %.

    References:
      Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
    """
    if n == 0:
        return 0.0, 1.0
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Returns mean and standard error of `a - b` over paired examples, in float64.

    Args:
      a: float[n].
      b: float[n], of the same examples.
    """
    gap = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    if len(gap) < 2:
        return float(gap.mean()), float("nan")
    return float(gap.mean()), float(gap.std(ddof=1) / math.sqrt(len(gap)))
