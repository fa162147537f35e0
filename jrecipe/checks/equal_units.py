"""Units that start equal get equal gradients, so the layer stays one unit wide (G18)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.network_layers import frozen_paths, layers_of
from jrecipe.checks.parameter_paths import CHECK, ITEM, Leaves, by_path, places
from jrecipe.checks.result import Finding, Suspect, Verdict, concluding


def alike(leaf: np.ndarray) -> str:
    """Returns along which axis all units of a matrix are equal: "units", "inputs" or "".

    Units are along the last axis. Equal means up to the rounding of training.

    Example:
      >>> alike(np.array([[1.0, 1.0], [2.0, 2.0]])), alike(np.array([[1.0, 2.0], [3.0, 4.0]]))
      ('units', '')
    """
    if leaf.ndim < 2 or not np.isfinite(leaf).all():
        return ""
    tolerance = 1e-4 * float(np.abs(leaf).max())
    if leaf.shape[-1] > 1 and (np.ptp(leaf, axis=-1) <= tolerance).all():
        return "units"
    if leaf.shape[0] > 1 and (np.ptp(leaf, axis=0) <= tolerance).all():
        return "inputs"
    return ""


def judge_symmetry(before: Leaves, after: Leaves, gradient: Leaves, updates: int) -> Finding | None:
    """Judges units that start equal and stay so; None if there are none.

    Args:
      before: path -> values before training.
      after: path -> values after training.
      gradient: path -> gradient of the loss after training; equal along the same axis if nothing
        will ever part the units.
      updates: made between the two.
    """
    stuck = {}
    for name, leaf in after.items():
        along = alike(leaf)
        if along and name in gradient and alike(before[name]) in (along, "units"):
            axis = -1 if along == "units" else 0
            slope = gradient[name]
            size = float(np.abs(slope).max())
            if np.isfinite(slope).all() and (np.ptp(slope, axis=axis) <= 1e-3 * size).all():
                stuck[name] = along
    names = [name for name, along in stuck.items() if along == "units"] or list(stuck)
    if not names:
        return _judge_copies(before, after, gradient, updates)
    evidence = {"parameters_with_equal_units": len(names), "expected": 0, "updates": updates}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.FAILED,
        f"All units of {places(names)} are still equal after {updates} updates: the layer is one "
        "unit wide.",
        "Draw weights at random (lecun, Glorot or He); zeros and constants suit biases only.",
        Suspect(
            cause="init-symmetric",
            component="init",
            where=places(names),
            why="units start equal and get equal gradients",
        ),
    )


def copies(leaf: np.ndarray) -> np.ndarray:
    """Returns int[units]: for each unit of a matrix the first one equal to it.

    Units are along the last axis; those that are 0 throughout are nobody's copy.

    Example:
      >>> copies(np.array([[1.0, 2.0, 1.0, 0.0, 0.0]])).tolist()
      [0, 1, 0, 3, 4]
    """
    columns = leaf.reshape(-1, leaf.shape[-1]).T
    first: dict[bytes, int] = {}
    return np.array(
        [first.setdefault(x.tobytes(), i) if x.any() else i for i, x in enumerate(columns)], int
    )


def many_copies(leaf: np.ndarray) -> bool:
    """Tells whether a quarter of the units of a matrix, or more, are copies of others."""
    if leaf.ndim < 2 or leaf.shape[-1] < 4 or leaf[..., 0].size < 2:
        return False
    return bool(4 * (copies(leaf) != np.arange(leaf.shape[-1])).sum() >= leaf.shape[-1])


def _judge_copies(before: Leaves, after: Leaves, gradient: Leaves, updates: int) -> Finding | None:
    """Judges units of which a part are copies of others from the start to the end."""
    stuck = {}
    for name, leaf in after.items():
        if name not in gradient or leaf.ndim < 2 or not np.isfinite(leaf).all():
            continue
        if not many_copies(before[name]):
            continue
        groups, units = copies(before[name]), leaf.shape[-1]
        twins = np.flatnonzero(groups != np.arange(units))
        slope, tolerance = gradient[name], 1e-4 * float(np.abs(leaf).max())
        together = np.abs(leaf[..., twins] - leaf[..., groups[twins]]).max() <= tolerance
        gap = np.abs(slope[..., twins] - slope[..., groups[twins]]).max()
        if together and gap <= 1e-3 * float(np.abs(slope).max()):
            stuck[name] = units - len(twins)
    if not stuck:
        return None
    where = places(list(stuck))
    said = ", ".join(f"{name} has {left} different units" for name, left in stuck.items())
    return concluding(ITEM, CHECK, {"parameters_with_copied_units": len(stuck), "expected": 0})(
        Verdict.FAILED,
        f"Some units of {where} are copies of others, still after {updates} updates: {said}.",
        "Draw the weights of every unit at random; tiled weights never part.",
        Suspect(
            cause="init-symmetric",
            component="init",
            where=where,
            why="units start equal and get equal gradients",
        ),
    )


def measure_equal_starts(context: Context) -> list[str]:
    """Returns matrices whose units start equal, though not 0, before a layer that reads them."""
    layers = layers_of(context)
    if layers is None:
        return []
    products, weights = layers.flow.products, by_path(context.variables()[0])
    followed = frozenset().union(*(product.given.near for product in products))
    return [
        product.path
        for i, product in enumerate(products)
        if i in followed
        and product.groups == 1
        and product.leaves == {product.path}
        and product.path not in frozen_paths(context)
        and weights[product.path].any()
        and alike(weights[product.path]) == "units"
    ]


def judge_equal_starts(names: Sequence[str]) -> Finding | None:
    """Judges hidden units that start equal to each other; None if there are none.

    Args:
      names: paths of the matrices, see `measure_equal_starts`.
    """
    if not names:
        return None
    evidence = {"parameters_with_equal_units": len(names), "expected": 0}
    return concluding(ITEM, CHECK, evidence)(
        Verdict.WARNED,
        f"All units of {places(names)} start equal: only what follows can part them.",
        "Draw weights at random (lecun, Glorot or He); zeros and constants suit biases only.",
        Suspect(
            cause="init-symmetric",
            component="init",
            where=places(names),
            why="its columns are equal and not 0 before training",
        ),
    )
