"""What a foreign trainer carries beside its parameters: does it follow training (G15)?

A statistic that predictions read and no update changes was forgotten, where the numbers say that it
is one: its siblings are still all zeros and all ones, as a mean and a variance begin; or another
of the same name does change. A buffer that is constant on purpose is neither.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.probing import disagreement
from jrecipe.train.frozen import path_name
from jrecipe.types import PyTree


def still_statistics(
    before: Any,
    after: Any,
    params_of: Callable[[Any], PyTree],
    predict: Callable[[Any], PyTree],
    frozen: Sequence[str] = (),
) -> list[str]:
    """Returns the paths of statistics that no update changed although predictions read them.

    Args:
      before: state of a trainer at the start; a pytree, or an object with pytrees as attributes.
      after: the state some updates later.
      params_of: parameters of a state; they are not statistics.
      predict: `state -> outputs`, for inputs of its own.
      frozen: paths of parameters that are frozen on purpose; statistics beside them are, too.
    """
    first, last = _floats(before), _floats(after)
    params = [np.asarray(leaf) for leaf in jax.tree.leaves(params_of(after))]
    floats = [
        name
        for name, leaf in last.items()
        if name in first and not any(np.array_equal(leaf, param) for param in params)
    ]
    still = [name for name in floats if np.array_equal(first[name], last[name])]
    moving = {_kind(name) for name in floats if name not in still}
    begun = _zeros_and_ones({name: last[name] for name in still})
    modules = tuple(path.rpartition("/")[0] for path in frozen if "/" in path)
    suspected = [
        name
        for name in still
        if name in begun or _kind(name) in moving
        if not f"/{name}".rpartition("/")[0].endswith(tuple(f"/{module}" for module in modules))
    ]
    outputs = predict(after)
    return [name for name in suspected if _read(after, name, predict, outputs)]


def stale_copies(
    before: Any,
    after: Any,
    params_of: Callable[[Any], PyTree],
    predict: Callable[[Any], PyTree],
) -> list[str]:
    """Returns the paths of copies of the first parameters that predictions read, though these move.

    Args:
      before: state of a trainer at the start.
      after: the state some updates later.
      params_of: parameters of a state.
      predict: `state -> outputs`, for inputs of its own.
    """
    first, last = _floats(before), _floats(after)
    pairs = zip(
        map(np.asarray, jax.tree.leaves(params_of(before))),
        map(np.asarray, jax.tree.leaves(params_of(after))),
        strict=True,
    )
    moved = [a for a, b in pairs if np.size(a) > 1 and np.ptp(a) > 0 and not np.array_equal(a, b)]
    still = [
        name
        for name, leaf in last.items()
        if name in first
        and np.array_equal(first[name], leaf)
        and any(np.array_equal(leaf, param) for param in moved)
    ]
    if not still:
        return []
    outputs = predict(after)
    return [name for name in still if _read(after, name, predict, outputs)]


def _floats(state: Any) -> dict[str, np.ndarray]:
    """Returns path -> floating arrays of more than one element."""
    return {
        path_name(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(_inside(state))
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.size > 1
    }


def _inside(state: Any) -> Any:
    """Returns the pytree in a state: itself, or the attributes of an object that is none."""
    leaves = jax.tree.leaves(state)
    if len(leaves) == 1 and hasattr(state, "__dict__") and not hasattr(state, "dtype"):
        return {name: value for name, value in vars(state).items() if not callable(value)}
    return state


def _kind(name: str) -> str:
    """Returns a path without its numbers, which statistics of one kind share."""
    return re.sub(r"\d+", "#", name)


def _zeros_and_ones(values: Mapping[str, np.ndarray]) -> set[str]:
    """Returns the siblings of one shape of which one is all zeros and one all ones."""
    flat: dict[tuple[str, Sequence[int]], dict[float, str]] = {}
    for name, value in values.items():
        for number in (0.0, 1.0):
            if (value == number).all():
                flat.setdefault((name.rpartition("/")[0], value.shape), {})[number] = name
    return {name for both in flat.values() if len(both) == 2 for name in both.values()}


def _read(state: Any, name: str, predict: Callable[[Any], PyTree], outputs: PyTree) -> bool:
    """Tells whether predictions change when one leaf of the state gets other values."""

    def change(path: Any, leaf: Any) -> Any:
        if path_name(path) != name:
            return leaf
        return jnp.asarray((1.5 * np.asarray(leaf) + 0.7).astype(leaf.dtype))

    inside = _inside(state)
    other = jax.tree_util.tree_map_with_path(change, inside)
    if inside is not state:
        changed = copy.copy(state)
        changed.__dict__.update(other)
        other = changed
    return disagreement(outputs, predict(other)) > 0
