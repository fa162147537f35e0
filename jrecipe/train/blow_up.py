"""The first update that is not finite: which it is, what in it came first, and its batch kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.data.buckets import source_training_rows
from jrecipe.task import Task
from jrecipe.train.frozen import path_name
from jrecipe.train.step import make_loss_fn
from jrecipe.types import Array, Batch, PyTree


def first_bad(numbers: Mapping[str, np.ndarray]) -> int | None:
    """Returns the index of the first update whose loss or gradient is not finite, None if all are.

    Args:
      numbers: "loss" and "grad_norm" float[k] of consecutive updates, each if it is known.
    """
    known = [np.asarray(numbers[name]) for name in ("loss", "grad_norm") if name in numbers]
    bad = np.any([~np.isfinite(values) for values in known], axis=0) if known else np.zeros(0)
    return int(np.argmax(bad)) if np.any(bad) else None


def explain(task: Task, state: Any, step: int, seed: int, folder: Path | None) -> str:
    """Says what is not finite in the update after a good state, and keeps its batch.

    Args:
      task: what is trained, by jrecipe's own step.
      state: after `step` updates, all finite.
      step: updates applied.
      seed: of the order of the data.
      folder: where the batch is written, as `nan/STEP.npz`; None writes nothing.

    Returns:
      A clause such as "the gradient of Dense_0/kernel is the first that is not finite".
    """
    rows = source_training_rows(task.train, task.batch_size, seed, step)[0]
    inputs, targets = task.train.take(rows)
    said = _what(task, state, rows, inputs, targets)
    if folder is None:
        return said
    path = folder / "nan" / f"{step + 1}.npz"
    kept: dict[str, Any] = {"rows": rows, **_named("inputs", inputs), **_named("targets", targets)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **kept)
    except OSError as error:
        return f"{said}; its batch could not be written ({error})"
    return f"{said}; its batch is in {path}"


def _what(task: Task, state: Any, rows: np.ndarray, inputs: PyTree, targets: PyTree) -> str:
    for name, tree in (("inputs", inputs), ("targets", targets)):
        bad = _bad_rows(tree, len(rows))
        if len(bad):
            return f"the {name} of train row {_listed(rows[bad])} are not finite"
    loss_fn = make_loss_fn(task.model, task.loss, task.augment)
    key = jax.random.fold_in(state.key, state.step)
    inputs, targets = jax.tree.map(jnp.asarray, (inputs, targets))
    batch = Batch(inputs, targets, jnp.ones(len(rows)))

    def mean_loss(params: PyTree) -> tuple[Array, Array]:
        value, weight, _ = loss_fn(params, state.model_state, batch, key)
        return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8), value

    grads, value = jax.jit(jax.grad(mean_loss, has_aux=True))(state.params)
    bad = np.flatnonzero(~np.isfinite(np.asarray(value)))
    if len(bad):
        return f"the loss of train row {_listed(rows[bad])} is not finite"
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        if not bool(jnp.isfinite(leaf).all()):
            return f"the gradient of {path_name(path)} is the first that is not finite"
    return "each number is finite, but a sum of them is not"


def _bad_rows(tree: PyTree, count: int) -> np.ndarray:
    """Returns the positions in a batch whose floats are not all finite."""
    bad = np.zeros(count, bool)
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.floating):
            bad |= ~np.isfinite(array.reshape(count, -1).astype(np.float64)).all(axis=1)
    return np.flatnonzero(bad)


def _listed(rows: np.ndarray) -> str:
    return ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")


def _named(name: str, tree: PyTree) -> dict[str, np.ndarray]:
    """Returns the leaves of a tree by path, as arrays that need no pickle."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {name + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def became(numbers: Mapping[str, np.ndarray], bad: int) -> str:
    """Says which number of an update is not finite, as "the loss became nan"."""
    for name, said in (("loss", "the loss"), ("grad_norm", "the gradient's norm")):
        if name in numbers and not math.isfinite(numbers[name][bad]):
            return f"{said} became {float(numbers[name][bad])}"
    raise ValueError(f"update {bad} is finite")
