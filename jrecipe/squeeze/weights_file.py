"""Weights as one safetensors file, which any framework reads; the network's code is needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

from jrecipe.models.weights import read_arrays
from jrecipe.squeeze.network import Network
from jrecipe.squeeze.packed import Int8, LowRank, unpacked
from jrecipe.types import PyTree, TaskError

FILE = "model.safetensors"


def write_weights(path: Path, network: Network) -> None:
    """Writes the parameters and the other state of a network.

    Names are those of the leaves: "params/conv0/kernel", "state/batch_stats/norm0/mean"; those of
    packed weights go on with ".values" and ".scale", ".left" and ".right".

    Raises:
      TaskError: if safetensors is missing.
    """
    try:
        from safetensors.numpy import save_file
    except ImportError as error:
        raise TaskError(
            "export to safetensors needs the package safetensors; "
            "pip install 'jrecipe[pretrained]'."
        ) from error
    trees = {"params": network.params, "state": network.state}
    arrays = {
        _name(path_): np.ascontiguousarray(leaf)
        for path_, leaf in jax.tree_util.tree_leaves_with_path(trees)
    }
    save_file(arrays, path)


def read_weights(path: Path, like: Network) -> Network:
    """Returns a network with the numbers of a file, packed weights unpacked.

    Args:
      path: of the file.
      like: the network, whose own numbers say which names, shapes and dtypes there should be.

    Raises:
      TaskError: if the file is damaged or does not fit the network.
    """
    arrays = read_arrays(path)
    used: set[str] = set()

    def fill(where: tuple[object, ...], leaf: jax.Array) -> np.ndarray:
        name = _name(where)
        found = _array(name, leaf.shape, arrays, used)
        if found is None or found.shape != leaf.shape:
            held = "nothing" if found is None else f"one of shape {list(found.shape)}"
            raise TaskError(
                f"{path} does not fit the network {like.model.name!r}: for {name} "
                f"{list(leaf.shape)} it holds {held}; give the network that was exported."
            )
        return found.astype(leaf.dtype)

    trees = {"params": unpacked(like.params), "state": like.state}
    filled: dict[str, PyTree] = jax.tree_util.tree_map_with_path(fill, trees)
    left = sorted(set(arrays) - used)
    if left:
        raise TaskError(
            f"{path} does not fit the network {like.model.name!r}, which has no {left[0]}; give "
            "the network that was exported."
        )
    return Network(like.model, filled["params"], filled["state"])


def _array(
    name: str, shape: tuple[int, ...], arrays: Mapping[str, np.ndarray], used: set[str]
) -> np.ndarray | None:
    """Returns the array of a name, unpacked, or None; notes the names that it took."""

    def part(end: str) -> np.ndarray | None:
        return _array(f"{name}.{end}", (), arrays, used)

    if name in arrays:
        used.add(name)
        return arrays[name]
    if f"{name}.values" in arrays and f"{name}.scale" in arrays:
        used |= {f"{name}.values", f"{name}.scale"}
        return np.asarray(Int8(arrays[f"{name}.values"], arrays[f"{name}.scale"]).unpacked())
    if any(key.startswith(f"{name}.left") for key in arrays):
        left, right = part("left"), part("right")
        if (
            left is not None
            and right is not None
            and left.shape[0] * right.shape[1] == np.prod(shape)
        ):
            return np.asarray(LowRank(left, right, shape).unpacked())
    return None


def _name(path: tuple[object, ...]) -> str:
    """Returns "params/a/kernel.values" of a path; attributes of packed weights after a dot."""
    parts = []
    for part in path:
        text = jax.tree_util.keystr((part,), simple=True)
        attribute = isinstance(part, jax.tree_util.GetAttrKey)
        parts.append(("." if attribute else "/") + text)
    return "".join(parts).removeprefix("/")
