"""Examples for a reader to look at: pictures where they are pictures, else text in a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from jrecipe.checks.annotations import Reading, counted, read_annotations
from jrecipe.figures import Annotations, Figure, Pictures, Table
from jrecipe.types import Array, PyTree


class Shows(Protocol):
    """What tells how a person sees examples: a task, or data without one."""

    @property
    def decode(self) -> Callable[[PyTree], Any] | None:
        """Makes pictures or texts of inputs."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or ()."""


def name_rows(rows: Array, most: int = 5) -> str:
    """Returns the first few row numbers as text.

    Example:
      >>> name_rows([3, 1, 4, 1, 5, 9])
      '3, 1, 4, 1, 5, ...'
    """
    rows = [int(row) for row in rows]
    return ", ".join(map(str, rows[:most])) + (", ..." if len(rows) > most else "")


def gallery(
    task: Shows,
    title: str,
    inputs: PyTree,
    targets: PyTree,
    *,
    rows: Array,
    notes: Sequence[str] = (),
    stored: tuple[PyTree, PyTree] | None = None,
) -> tuple[Figure, ...]:
    """Draws examples as they enter the network, with their targets.

    Masks, boxes and key points are drawn upon pictures (see `jrecipe.checks.annotations`).

    Args:
      task: gives `decode` and `class_names`, where it has them.
      title: one line.
      inputs: array or pytree, leading axis n.
      targets: the same.
      rows: int[k], which examples to draw; they name them in the captions.
      notes: a text per row to add to its caption.
      stored: `(inputs, targets)` that tell how targets mark pictures, where the ones to draw were
        changed; None for these themselves.

    Returns:
      A figure in a tuple; none if there are no rows.
    """
    rows = np.asarray(rows, int)
    if len(rows) == 0:
        return ()
    some = jax.tree.map(lambda x: np.asarray(x)[rows], inputs)
    goals = jax.tree.map(lambda x: np.asarray(x)[rows], targets)
    shown = decoded(task, some)
    reading, marked = None, None
    if isinstance(shown, np.ndarray) and shown.ndim in (3, 4):
        told = (inputs, targets) if stored is None else stored
        reading = read_annotations(*told, shown.shape[1:3], task.class_names)
        marked = reading.annotations(some, goals)
    labels = describe_targets(task, goals, reading, marked)
    extra = [f" ({note})" for note in notes] or [""] * len(rows)
    if isinstance(shown, np.ndarray):
        captions = [
            f"{row}: {label}{note}" for row, label, note in zip(rows, labels, extra, strict=True)
        ]
        return (Pictures(title=title, images=shown, captions=captions, annotations=marked),)
    lines = [
        (str(row), label + note, text)
        for row, label, note, text in zip(rows, labels, extra, shown, strict=True)
    ]
    return (Table(title=title, columns=("row", "target", "input"), rows=lines),)


def describe_targets(
    task: Shows, targets: PyTree, reading: Reading | None, marked: Annotations | None
) -> list[str]:
    """Returns each target in words: what is drawn is counted, the rest is written out.

    Args:
      task: gives `class_names`, where it has them.
      targets: array or pytree, leading axis n.
      reading: how targets mark pictures, None for not at all.
      marked: what is marked on each of the n pictures by this reading, or None.
    """
    count = len(jax.tree.leaves(targets)[0])
    each = [jax.tree.map(lambda x, i=i: np.asarray(x)[i], targets) for i in range(count)]
    if reading is None or marked is None or not reading.parts:
        return [describe_target(task, target) for target in each]
    labels = []
    for target, marks in zip(each, marked.marks, strict=True):
        rest = reading.unread(target)
        parts = [counted(marks) or "nothing marked", describe_target(task, rest) if rest else ""]
        labels.append(" | ".join(part for part in parts if part))
    return labels


def decoded(task: Shows, inputs: PyTree) -> np.ndarray | list[str]:
    """Returns inputs as pictures float[b, h, w(, c)] in [0, 1], or as a text each.

    Without `task.decode`, float or uint8 arrays [b, h, w(, 1 or 3)] of at least 4 x 4 count as
    pictures and are stretched to [0, 1] together; all else is written out in numbers.
    """
    if task.decode is not None:
        result = task.decode(inputs)
        if hasattr(result, "dtype") and np.asarray(result).dtype.kind in "fiu":
            return np.clip(np.asarray(result, np.float32), 0.0, 1.0)
        return [str(text) for text in result]
    leaves = jax.tree.leaves(inputs)
    if len(leaves) == 1 and is_picture(np.asarray(leaves[0])):
        pictures = np.nan_to_num(np.asarray(leaves[0], np.float32), posinf=0.0, neginf=0.0)
        low, high = np.quantile(pictures, (0.002, 0.998))
        return np.clip((pictures - low) / max(high - low, 1e-12), 0.0, 1.0)
    count = len(leaves[0])
    return [_numbers(jax.tree.map(lambda x, i=i: np.asarray(x)[i], inputs)) for i in range(count)]


def is_picture(array: np.ndarray) -> bool:
    """Tells whether an array looks like a batch of pictures [b, h, w] or [b, h, w, c]."""
    if array.dtype.kind != "f" and array.dtype != np.uint8:
        return False
    sides = array.shape[1:3]
    return (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3))) and min(sides) >= 4


def describe_target(task: Shows, target: PyTree) -> str:
    """Returns the target of one example as a short text, a class by its name."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(target)]
    if len(leaves) == 1 and leaves[0].ndim == 0 and leaves[0].dtype.kind in "iub":
        label = int(leaves[0])
        return task.class_names[label] if 0 <= label < len(task.class_names) else str(label)
    return _numbers(target, most=8)


def _numbers(tree: PyTree, most: int = 24) -> str:
    parts = []
    for leaf in jax.tree.leaves(tree):
        flat = np.asarray(leaf).reshape(-1)
        whole = flat.dtype.kind in "iub"
        text = " ".join(str(int(x)) if whole else f"{float(x):.4g}" for x in flat[:most])
        parts.append(text + (" ..." if len(flat) > most else ""))
    return " | ".join(parts)
