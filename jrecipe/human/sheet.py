"""What a person is asked: some examples of a split, drawn by chance, as they enter the network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import jax
import numpy as np

from jrecipe.checks.examples import decoded
from jrecipe.data.order import epoch_order
from jrecipe.draw import png
from jrecipe.task import Task, spread
from jrecipe.types import PyTree, TaskError

_MOST_CLASSES = 1_000
_MARKED = 64  # rows by which data are told apart


@dataclasses.dataclass(frozen=True, eq=False)
class Sheet:
    """Examples to be answered. What is right is not among it.

    Attributes:
      name: of the task.
      split: "val", "test" or "train".
      rows: int32[n], which examples, in the order that they are asked.
      shown: n pictures as data addresses, or n texts.
      pictures: which of both.
      class_names: what may be answered.
      data: a mark of the split, by which answers find back to it.
      seed: that chose the rows.
    """

    name: str
    split: str
    rows: np.ndarray
    shown: tuple[str, ...]
    pictures: bool
    class_names: tuple[str, ...]
    data: str
    seed: int


def make_sheet(
    task: Task,
    *,
    split: str = "val",
    n: int = 100,
    seed: int = 0,
    texts: Sequence[str] | None = None,
) -> Sheet:
    """Draws examples for a person to answer (B6).

    Args:
      task: with one class for each example.
      split: "val" is what `jr.cook` compares with; "test" serves to label a test set twice.
      n: most examples; a split that has fewer is asked as a whole.
      seed: of the draw; every example has the same chance.
      texts: what a person reads of each example of the split, in place of what `task.decode` makes
        of the network's inputs.

    Raises:
      TaskError: if there is no such split, targets are no classes, or texts are not one for each
        example.
    """
    if n < 1:
        raise TaskError(f"make_sheet needs n >= 1 examples, got {n=}.")
    names = class_names_of(task, split)
    source = task.splits[split]
    rows = np.array(epoch_order(len(source), seed, 0)[:n])
    shown: np.ndarray | list[str]
    if texts is None:
        shown = decoded(task, jax.tree.map(np.asarray, source.take(rows)[0]))
    elif len(texts) == len(source):
        shown = [texts[row] for row in rows]
    else:
        raise TaskError(
            f"texts need one for each of {len(source)} examples of {split}, got {len(texts)}."
        )
    drawn = [png(x, largest=512) for x in shown] if isinstance(shown, np.ndarray) else None
    return Sheet(
        name=task.name,
        split=split,
        rows=rows,
        shown=tuple(shown if drawn is None else drawn),
        pictures=drawn is not None,
        class_names=names,
        data=mark_of(task, split),
        seed=seed,
    )


def class_names_of(task: Task, split: str) -> tuple[str, ...]:
    """Returns what may be answered, numbers where classes have no names.

    Raises:
      TaskError: if there is no such split, or targets are no classes.
    """
    if split not in task.splits:
        raise TaskError(f"{split=} is not there; the task has {', '.join(task.splits)}.")
    targets = targets_of(task, split)
    if task.class_names:
        return tuple(task.class_names)
    count = 1 + max(int(targets.max()), int(targets_of(task, "train").max()))
    if count > _MOST_CLASSES:
        raise TaskError(
            f"{task.name} has targets up to {count - 1}, too many to choose from; a person can "
            f"answer for at most {_MOST_CLASSES} classes."
        )
    return tuple(map(str, range(count)))


def targets_of(task: Task, split: str) -> np.ndarray:
    """Returns the classes int[n] of a whole split.

    Raises:
      TaskError: if targets are no classes.
    """
    source = task.splits[split]
    targets: PyTree = source.take(np.arange(len(source)))[1]
    if not isinstance(targets, np.ndarray) or targets.ndim != 1 or targets.dtype.kind not in "iub":
        raise TaskError(
            f"{task.name} has targets that are no single classes; a person can be asked only for "
            "one class of each example so far."
        )
    return targets.astype(np.int64)


def mark_of(task: Task, split: str) -> str:
    """Returns 16 hex digits that tell the inputs of a split from others."""
    source = task.splits[split]
    inputs, _ = source.take(spread(len(source), _MARKED))
    found = hashlib.sha256(str(len(source)).encode())
    for leaf in jax.tree.leaves(inputs):
        found.update(np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()[:16]
