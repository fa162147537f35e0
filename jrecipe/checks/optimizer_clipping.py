"""Whether the optimiser clips gradients to one size, however small they are (G14).

Two sequences of gradients that differ in size alone give one and the same update where all are
clipped, whatever comes behind the clipping.
"""

from __future__ import annotations

import numpy as np

from jrecipe.checks.optimizer_probe import RUNS, Probe

_RUNGS = 16  # sizes of gradient at which clipping is looked for
HIGH, LOW = 1 / 30, 1e-9  # the largest and the smallest of them, of the real gradient


def clipping_of(
    probe: Probe,
    rng: np.random.Generator,
    pattern: np.ndarray,
    weights: np.ndarray,
    responds: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Finds leaves whose gradient is clipped to one size, though small; and from what size on.

    A shrunk leaf cannot have both the norm and the elements of the real one: both are tried. What
    never heeds the size of a gradient (signs, normalised updates) does not clip; neither does what
    does so by degrees (a small number in a denominator).

    Args:
      probe: the optimiser.
      rng: draws which gradients of a sequence are the smaller ones.
      pattern: float32[n], a gradient with the elements of the real one.
      weights: float32[n], the weights, which are held.
      responds: bool[leaves], which leaves heed a gradient.

    Returns:
      bool[leaves], whether `HIGH` of the real gradient is clipped; and the size from which on it
      is, of the real gradient, NaN if none is.
    """
    real = np.array([np.prod(leaf.shape) for leaf in probe.leaves])
    grown = probe.values(np.sqrt(real / np.bincount(probe.owner)))
    steps = 300
    uneven = np.where(rng.random(steps) < 0.5, 1.0, 1 / 3)

    def sensitivity(scales: np.ndarray, factors: list[np.ndarray]) -> np.ndarray:
        """Returns float[pairs, leaves]: how far two sizes of gradient give two updates."""
        sizes = np.zeros((RUNS, steps), np.float32)
        start, shape = np.tile(weights, (RUNS, 1)), np.tile(pattern, (RUNS, 1))
        for i, (scale, factor) in enumerate(zip(scales, factors, strict=True)):
            sizes[2 * i], sizes[2 * i + 1] = scale, scale * uneven
            for run in (2 * i, 2 * i + 1):
                start[run], shape[run] = weights * factor, pattern * factor
        updates = probe.run(start, sizes, shape, np.ones(RUNS, bool)).astype(np.float64)
        pairs = updates[: 2 * len(scales)].reshape(len(scales), 2, steps, -1)
        gap = probe.by_leaf(((pairs[:, 0] - pairs[:, 1]) ** 2).sum(axis=1))
        size = probe.by_leaf((pairs[:, 0] ** 2).sum(axis=1))
        return np.where(size > 0, np.sqrt(gap / np.maximum(size, 1e-300)), np.nan)

    same, other = 1e-4, 5e-2
    plain = np.ones_like(grown)
    seen = sensitivity(np.array([HIGH, LOW, HIGH, LOW]), [grown, grown, plain, plain])
    nothing = np.zeros(len(probe.leaves), bool), float("nan")
    for factor, (high, low) in ((grown, seen[:2]), (plain, seen[2:])):
        suspected = responds & (high < same) & (low > other)
        if not suspected.any():
            continue
        rungs = np.geomspace(HIGH, LOW, _RUNGS)
        ladder = np.concatenate(
            [sensitivity(rungs[i : i + 4], [factor] * 4) for i in range(0, _RUNGS, 4)]
        )
        between = ((ladder > same) & (ladder < other)).sum(axis=0)
        hard = suspected & (between <= 2)
        if hard.any():
            starts = [rungs[np.flatnonzero(ladder[:, i] < same)[-1]] for i in np.flatnonzero(hard)]
            return hard, float(np.median(starts))
    return nothing
