"""Gradients that vanish or explode on their way through a network that does not learn (G18)."""

from __future__ import annotations

import numpy as np

from jrecipe.checks.parameter_paths import CHECK, ITEM, Leaves
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding


def judge_flow(gradient: Leaves, weights: Leaves, learned: float) -> Finding | None:
    """Judges gradients that vanish or explode on their way, in a run that fails; else None.

    Args:
      gradient: path -> gradient before training.
      weights: path -> values before training.
      learned: share of the way that a few examples went, see `few_learned`.
    """
    rates = {
        name: float(np.linalg.norm(gradient[name]) / np.linalg.norm(weights[name]))
        for name in gradient
        if gradient[name].ndim >= 2 and gradient[name].any() and weights[name].any()
    }
    if learned >= 0.9 or len(rates) < 2:
        return None
    low, high = min(rates, key=lambda n: rates[n]), max(rates, key=lambda n: rates[n])
    if rates[high] <= 1e6 * rates[low]:
        return None
    evidence = {"smallest": rates[low], "largest": rates[high], "largest_ratio_expected": 1e6}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"Gradients span from {rates[low]:.1e} of the weights at {low} to {rates[high]:.1e} at "
        f"{high}, and the network does not learn.",
        "Initialise to keep the scale from layer to layer; add normalisation or residual branches.",
        Suspect(
            cause="init-scale",
            component="init",
            where=low,
            why=f"relative to the weights, its gradient is {rates[low] / rates[high]:.0e} of that "
            f"at {high}",
        ),
    )
