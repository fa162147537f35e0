"""Units that are off, or saturated, for every input: born so, or dead after training (G18).

A unit that answers the same for every input passes no gradient to what lies before it. Inputs that
are all positive may switch off some from the start, so only more than chance explains is held
against the initialisation, and death in training only against a run that fails.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.network_layers import fresh_sizes, layers_of
from jrecipe.checks.parameter_paths import CHECK, ITEM, other_params
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding
from jrecipe.types import PyTree


def dead_layers(
    context: Context, variables: tuple[PyTree, PyTree], inside: bool = False
) -> list[tuple[str, float]]:
    """Returns (path before it, share of dead units) of each activation with dead units.

    Args:
      context: the task.
      variables: `(params, state)`.
      inside: leave out activations that no layer follows; what those can answer is for B8.
    """
    layers = layers_of(context)
    if layers is None:
        return []
    products, sizes = layers.flow.products, layers.sizes(variables)
    off = sizes.off
    followed = frozenset().union(*(product.given.near for product in products))
    found = [
        (products[i].path, float(off[k]))
        for k, unit in enumerate(layers.flow.units)
        for i in sorted(unit.after)
        if (off[k] if unit.directly else off[k] == 1.0) and (i in followed or not inside)
    ]
    starved = [j for j, size in enumerate(sizes.entering) if size == 0]
    return found + [
        (products[i].path, 1.0) for j in starved for i in sorted(products[j].given.near)
    ]


def measure_born_dead(context: Context) -> list[tuple[str, int, list[float]]]:
    """Returns (path before it, units, share that is off under each seed) of each activation."""
    layers, first = layers_of(context), fresh_sizes(context)
    if layers is None or first is None or not (first.off > 0.5).any():
        return []
    state = context.variables()[1]
    sizes = [first, *(layers.sizes((params, state)) for params in other_params(context))]
    return [
        (
            layers.flow.products[i].path,
            int(first.width[k]),
            [float(s.off[k] if unit.directly else s.off[k] == 1.0) for s in sizes],
        )
        for k, unit in enumerate(layers.flow.units)
        for i in sorted(unit.after)
    ]


def judge_born_dead(shares: Sequence[tuple[str, int, Sequence[float]]]) -> Finding | None:
    """Judges units that are off for every input before training; None if they are few.

    Inputs that are all positive may switch off half of the units, so it takes more than half, by
    three standard errors, under every seed.

    Args:
      shares: (path before them, how many units, share that is off under each seed).
    """
    limits = [min(0.5 + 1.5 / np.sqrt(width), 0.999) for _, width, _ in shares]
    dead = [
        (min(off), limit, path)
        for (path, _, off), limit in zip(shares, limits, strict=True)
        if min(off) > limit
    ]
    if not dead:
        return None
    share, limit, path = max(dead)
    evidence = {"share_dead_at_start": share, "share_expected": limit}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"Before training, {share:.0%} of the units behind {path} are off for every input, under "
        "every seed.",
        "Start biases at 0 and draw weights around 0.",
        Suspect(
            cause="dead-units",
            component="init",
            where=path,
            why=f"{share:.0%} of its units pass no gradient for any input",
        ),
    )


def judge_dead(dead: Sequence[tuple[str, float]], learned: float) -> Finding | None:
    """Judges units that died in training, in a run that fails; None if it does not or none did.

    Args:
      dead: (path before it, share of units that are off for all rows) of each activation layer.
      learned: share of the way that a few examples went.
    """
    worst = max(dead, key=lambda pair: pair[1], default=("", 0.0))
    if learned >= 0.9 or worst[1] < 0.9:
        return None
    evidence = {"share_dead": worst[1], "share_of_the_way_learned": learned}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"After training {worst[1]:.0%} of the units behind {worst[0]} are off for every input, "
        "and the network does not learn.",
        "Lower the learning rate, initialise smaller, or use an activation that never goes flat.",
        Suspect(
            cause="dead-units",
            component="model",
            where=worst[0],
            why=f"{worst[1]:.0%} of its units answer the same for every input",
        ),
    )
