"""Small words that the lists of faults are written in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import jrecipe as jr
from gallery.program import Fault, Strength

Augment = Callable[[Any, jr.Batch], jr.Batch]
Split = tuple[Any, Any]


def pick(strength: Strength, strong: Any, weak: Any) -> Any:
    """Returns the argument that belongs to the strength."""
    return strong if strength == "strong" else weak


def some(n: int, share: float, seed: int) -> np.ndarray:
    """Returns a share of the rows 0..n-1, drawn, in order; at least one."""
    rows = np.random.default_rng([seed, 7]).permutation(n)[: max(1, round(share * n))]
    return np.sort(rows)


def planter(family: str) -> Callable[..., Fault]:
    """Returns how a fault of a family is written down, with codes as words in one text."""

    def plant(
        name: str,
        build: Callable[[int, Strength], jr.Task],
        twin: Callable[[int], jr.Task],
        violates: str,
        causes: str,
        components: str,
        *where: str,
    ) -> Fault:
        return Fault(
            name=name,
            family=family,
            property=violates,
            build=build,
            twin=twin,
            causes=tuple(causes.split()),
            components=tuple(components.split()),
            where=where,
        )

    return plant
