"""Structure, shapes and dtypes of inputs and outputs as plain JSON, without the batch's axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jrecipe.types import PyTree, TaskError


def shapes_of(tree: PyTree) -> dict[str, Any]:
    """Returns arrays, and nested dicts, lists and tuples of them, as JSON.

    Args:
      tree: leaves have `shape` [b, ...] and `dtype`.

    Raises:
      TaskError: if it is built of anything else.

    Example:
      >>> shapes_of({"ids": np.zeros((2, 5), np.int32)})
      {'dict': {'ids': {'shape': [5], 'dtype': 'int32'}}}
    """
    if isinstance(tree, Mapping):
        return {"dict": {str(name): shapes_of(part) for name, part in sorted(tree.items())}}
    if type(tree) in (list, tuple):
        return {type(tree).__name__: [shapes_of(part) for part in tree]}
    if not hasattr(tree, "shape") or not hasattr(tree, "dtype") or not tree.shape:
        raise TaskError(
            "export needs inputs and outputs that are arrays with the examples along axis 0, or "
            f"dicts, lists and tuples of them, got {type(tree).__name__}."
        )
    return {"shape": [int(size) for size in tree.shape[1:]], "dtype": str(tree.dtype)}


def structs_of(shapes: Mapping[str, Any], batch: Any) -> PyTree:
    """Returns the `jax.ShapeDtypeStruct`s of `shapes_of`, with `batch` as their leading axis.

    Raises:
      KeyError, TypeError: if `shapes` did not come from there.
    """
    if "dict" in shapes:
        return {name: structs_of(part, batch) for name, part in shapes["dict"].items()}
    if "list" in shapes:
        return [structs_of(part, batch) for part in shapes["list"]]
    if "tuple" in shapes:
        return tuple(structs_of(part, batch) for part in shapes["tuple"])
    return jax.ShapeDtypeStruct((batch, *shapes["shape"]), np.dtype(shapes["dtype"]))


def fitted(inputs: PyTree, shapes: Mapping[str, Any], where: str) -> PyTree:
    """Returns inputs as arrays of the dtypes that an exported network takes.

    Args:
      inputs: [n, ...] each.
      shapes: of `shapes_of`.
      where: what the message calls the network.

    Raises:
      TaskError: if structure, shapes or number of examples differ, or numbers would lose by it.
    """
    wanted = structs_of(shapes, 1)
    takes, got = str(jax.tree.structure(wanted)), str(jax.tree.structure(inputs))
    if takes != got:
        raise TaskError(f"{where} takes {takes}, got {got}; give the arrays in that structure.")

    def fit(want: jax.ShapeDtypeStruct, got: Any) -> np.ndarray:
        array = np.asarray(got)
        if array.shape[1:] != want.shape[1:] or array.ndim == 0 or not len(array):
            raise TaskError(
                f"{where} takes examples of shape {list(want.shape[1:])}, got {array.dtype} "
                f"{list(array.shape)}; give [n, ...] of them, n >= 1."
            )
        if not np.can_cast(array.dtype, want.dtype, "same_kind"):
            raise TaskError(f"{where} takes {want.dtype}, got {array.dtype}; convert them.")
        return array.astype(want.dtype)

    found = jax.tree.map(fit, wanted, inputs)
    counts = sorted({len(leaf) for leaf in jax.tree.leaves(found)})
    if len(counts) > 1:
        raise TaskError(f"{where} got arrays of {counts} examples; give as many of each.")
    return found
