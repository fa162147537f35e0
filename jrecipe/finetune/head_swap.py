"""A new head on a trained body (H6)."""

from __future__ import annotations

import jax

from jrecipe.types import PyTree, TaskError


def with_head(trained: PyTree, fresh: PyTree) -> PyTree:
    """Returns the parameters of a new task's network: the body of a trained one, a fresh head (H6).

    The body's arrays are those of `trained` themselves, so that not a bit of them changes.

    Args:
      trained: parameters whose `encoder/...` (and what else is not `head/...`) is to be kept. A
        head of any shape among them is dropped.
      fresh: newly initialised parameters of the new network. Its head is kept, if it has one.

    Raises:
      TaskError: naming the first parameter of the body that one of them lacks, or that differs in
        shape or dtype.

    Example:
      >>> import numpy as np
      >>> trained = {"encoder": {"w": np.ones(2)}, "head": {"b": np.ones(3)}}
      >>> fresh = {"encoder": {"w": np.zeros(2)}, "head": {"b": np.zeros(5)}}
      >>> jax.tree.map(np.ndarray.tolist, with_head(trained, fresh))
      {'encoder': {'w': [1.0, 1.0]}, 'head': {'b': [0.0, 0.0, 0.0, 0.0, 0.0]}}
    """
    body = {name: part for name, part in trained.items() if name != "head"}
    want = {name: part for name, part in fresh.items() if name != "head"}
    have, need = _by_path(body), _by_path(want)
    for path in [*need, *have]:
        if path not in have or path not in need:
            which, other = ("trained", "fresh") if path not in have else ("fresh", "trained")
            raise TaskError(
                f"{which} has no parameter {path}, which {other} has; give both networks the same "
                "encoder."
            )
        got, asked = _kind(have[path]), _kind(need[path])
        if got != asked:
            raise TaskError(
                f"trained parameter {path} is {got}, fresh needs {asked}; give both networks the "
                "same encoder."
            )
    return {name: fresh[name] if name == "head" else body[name] for name in fresh}


def _by_path(tree: PyTree) -> dict[str, PyTree]:
    """Returns the leaves of a tree by their paths, as `encoder/layer_0/kernel`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _kind(leaf: PyTree) -> str:
    """Returns a leaf's dtype and shape, as `float32[2, 3]`."""
    return f"{leaf.dtype}{list(leaf.shape)}"
