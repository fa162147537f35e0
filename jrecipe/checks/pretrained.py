"""Weights that should be given: a frozen matrix that starts at random was never loaded (G18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.network_layers import frozen_paths
from jrecipe.checks.overfit_batch import few_learned
from jrecipe.checks.parameter_paths import CHECK, ITEM, by_path, places
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding


def measure_given(context: Context) -> tuple[list[str], int]:
    """Returns the frozen matrices whose start depends on the seed, and how many are frozen.

    A layer twice as wide as what it reads may be random on purpose (random features), if the rest
    learns on top of it.
    """
    frozen = frozen_paths(context)
    if not frozen:
        return [], 0
    own = by_path(context.trainer.params(context.fresh_state()))
    other = by_path(context.other_inits[0][0])
    found = [
        name
        for name in sorted(frozen)
        if own[name].ndim >= 2 and not np.array_equal(own[name], other[name])
    ]
    spread = all(
        own[name].ndim == 2 and own[name].shape[1] >= 2 * own[name].shape[0] for name in found
    )
    if found and spread and few_learned(context) >= 0.9:
        return [], len(frozen)
    return found, len(frozen)


def judge_given(differing: Sequence[str], frozen: int) -> Finding | None:
    """Judges frozen weights that are drawn at random; None if there are none.

    Args:
      differing: paths of frozen matrices whose start depends on the seed.
      frozen: how many frozen parameters there are.
    """
    if not differing:
        return None
    evidence = {"frozen": frozen, "frozen_and_random": len(differing), "expected": 0}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"{places(differing)} are frozen, but start at random: weights that should be given were "
        "not loaded.",
        "Load the weights in init; freeze only what has been trained.",
        Suspect(
            cause="pretrained-not-loaded",
            component="init",
            where=places(differing),
            why="another seed gives other values, and training is told to leave them alone",
        ),
    )
