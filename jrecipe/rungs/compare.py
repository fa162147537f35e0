"""Is a rung better than the one below, by more than the noise? (C3)."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

from jrecipe.rungs.scores import Scores
from jrecipe.types import TaskError

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Difference:
    """What a rung brought over the one below.

    Attributes:
      gain: mean score of the rung minus that of the rung below.
      low: lower end of its 95 % interval.
      high: upper end.
      verdict: "keeps" if the whole interval is above 0, "drops" if below, "undecided" otherwise.
    """

    gain: float
    low: float
    high: float
    verdict: Literal["keeps", "drops", "undecided"]


def compare(below: Scores, rung: Scores) -> Difference:
    """Compares two rungs over the same seeds and validation examples, pair by pair.

    Two things vary: what a seed makes of the training, and which examples happen to be in the
    validation split. Both standard errors are added in squares, which errs on the wide side, as the
    mean over seeds of an example still holds some noise of the seeds; Student's t has the degrees
    of freedom of Welch and Satterthwaite. One seed gives an infinite interval: it says nothing
    about the next seed.

    Args:
      below: scores of the rung below.
      rung: scores of the rung.

    Raises:
      TaskError: if the seeds or the numbers of validation examples differ.
    """
    from scipy import stats

    if below.seeds != rung.seeds or below.val.shape != rung.val.shape:
        raise TaskError(
            f"compare needs scores of the same seeds and validation examples, got {below.seeds} "
            f"{below.val.shape} and {rung.seeds} {rung.val.shape}; score both on one split."
        )
    seeds = rung.val_mean - below.val_mean
    gain = float(seeds.mean())
    if not math.isfinite(gain):
        lost = not np.isfinite(rung.val_mean).all() and bool(np.isfinite(below.val_mean).all())
        return Difference(gain, -math.inf, math.inf, "drops" if lost else "undecided")
    if len(seeds) == 1:
        return Difference(gain, -math.inf, math.inf, "undecided")
    of_seeds = float(seeds.var(ddof=1)) / len(seeds)
    of_examples, count = _variance_over_examples(rung.val - below.val, rung.weights)
    total = of_seeds + of_examples
    if total == 0:
        half = 0.0
    else:
        freedom = total**2 / (of_seeds**2 / (len(seeds) - 1) + of_examples**2 / max(count - 1, 1))
        half = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(total)
    low, high = gain - half, gain + half
    return Difference(gain, low, high, "keeps" if low > 0 else "drops" if high < 0 else "undecided")


def _variance_over_examples(pairs: np.ndarray, weights: np.ndarray) -> tuple[float, int]:
    """Returns the variance of the weighted mean of float[k, n] over examples, and their number."""
    each, count = pairs.mean(axis=0), int((weights > 0).sum())
    if count < 2:
        return 0.0, count
    share = weights / weights.sum()
    mean = (share * each).sum()
    return float((share**2 * (each - mean) ** 2).sum() * count / (count - 1)), count
