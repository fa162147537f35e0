"""What augmentations ask of their own arguments."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from jrecipe.types import Array, TaskError


def is_concrete(value: Any) -> bool:
    """Tells whether the values can be looked at: not inside `jit`, nor on other machines."""
    return not isinstance(value, jax.core.Tracer) and getattr(value, "is_fully_addressable", True)


def require_probability(name: str, p: float | Array, argument: str = "p") -> None:
    """Raises TaskError unless `p` is in [0, 1]; a traced one is taken on trust."""
    if is_concrete(p) and not 0.0 <= p <= 1.0:
        raise TaskError(
            f"{name} needs a probability `{argument}` in [0, 1], got {argument}={p}; 0 is never, "
            "1 always."
        )


def require_between(
    name: str, argument: str, value: float | Array, low: float, high: float = math.inf
) -> None:
    """Raises TaskError unless `low <= value <= high`; a traced one is taken on trust."""
    if is_concrete(value) and not low <= value <= high:
        want = f">= {low:g}" if high == math.inf else f"in [{low:g}, {high:g}]"
        raise TaskError(
            f"{name} needs `{argument}` {want}, got {argument}={value}; {low:g} gives the least "
            "change."
        )


def require_whole(name: str, argument: str, value: int | Array, least: int = 0) -> None:
    """Raises TaskError unless `value` is an integer of at least `least`."""
    if not jnp.issubdtype(jnp.result_type(value), jnp.integer):
        raise TaskError(
            f"{name} needs a whole number of `{argument}`, got {argument}={value}; round it."
        )
    if is_concrete(value) and value < least:
        raise TaskError(f"{name} needs `{argument}` >= {least}, got {argument}={value}; raise it.")


def require_range(
    name: str, argument: str, value: tuple[float, float], low: float, high: float = math.inf
) -> None:
    """Raises TaskError unless `value` is a pair `low <= smallest <= largest <= high`."""
    try:
        smallest, largest = value
        good = low <= smallest <= largest <= high
    except (TypeError, ValueError):
        good = False
    if not good:
        raise TaskError(
            f"{name} needs `{argument}` as a pair (smallest, largest) in [{low:g}, {high:g}], got "
            f"{argument}={value}; give the smaller number first."
        )
