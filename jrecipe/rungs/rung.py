"""A rung: one change to a task, and how long to train with it (C3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from jrecipe.data.source import ArraySource
from jrecipe.task import Task
from jrecipe.types import TaskError

Change = Callable[[Task], Task]


def unchanged(task: Task) -> Task:
    """Returns the task as it is."""
    return task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rung:
    """One thing to change.

    Attributes:
      name: what tables call it; unique in a ladder.
      change: `task -> task` with one field replaced, as by `task.replace(batch_size=32)`.
      steps: updates, as a multiple of those of the rung below; > 0.
      early_stopping: score the state with the lowest validation loss of ten on the way instead of
        the last one (D11).
      first: `task -> task` for the first updates, with parameters of the same shapes, as smaller
        pictures; None if all updates are alike.
      first_share: share of the updates made on `first`, in (0, 1).
      together: allow several fields of the task to change at once.

    Raises:
      TaskError: if a number is out of range.

    Example:
      >>> half = Rung(name="half the batch", change=lambda t: t.replace(batch_size=64), steps=2)
      >>> half.name, half.steps
      ('half the batch', 2)
    """

    name: str
    change: Change = unchanged
    steps: float = 1.0
    early_stopping: bool = False
    first: Change | None = None
    first_share: float = 0.5
    together: bool = False

    def __post_init__(self) -> None:
        if not self.name:
            raise TaskError("Rung.name is empty; say what the rung changes.")
        if not self.steps > 0:
            raise TaskError(
                f"Rung.steps of {self.name!r} needs a multiple > 0 of the updates below, got "
                f"{self.steps!r}; 1 trains as long."
            )
        if not 0 < self.first_share < 1:
            raise TaskError(
                f"Rung.first_share of {self.name!r} needs a share in (0, 1), got "
                f"{self.first_share!r}."
            )


def changed_fields(before: Task, after: Task) -> tuple[str, ...]:
    """Returns the names of the fields that are not the same object, or an equal number or text."""
    names = [field.name for field in dataclasses.fields(Task)]
    return tuple(name for name in names if not _same(getattr(before, name), getattr(after, name)))


def _same(a: object, b: object) -> bool:
    if isinstance(a, ArraySource) and isinstance(b, ArraySource):  # made anew for every task
        pairs = [jax.tree.leaves((one.inputs, one.targets)) for one in (a, b)]
        return len(pairs[0]) == len(pairs[1]) and all(x is y for x, y in zip(*pairs, strict=True))
    plain = int | float | str | bool | tuple | None
    return a is b or (isinstance(a, plain) and isinstance(b, plain) and a == b)


def climbed(task: Task, rung: Rung) -> tuple[Task, tuple[str, ...]]:
    """Returns the task with a rung's change, and what changed.

    Raises:
      TaskError: if it is no task, nothing changed, or more than one thing did.
    """
    after = rung.change(task)
    if not isinstance(after, Task):
        raise TaskError(
            f"The change of rung {rung.name!r} returned {after!r}; return a task, as "
            "task.replace(...) does."
        )
    changed = changed_fields(task, after)
    said = list(changed)
    if rung.steps != 1:
        said.append("steps")
    if rung.early_stopping:
        said.append("early stopping")
    if rung.first is not None:
        said.append("the first updates")
    if not said:
        raise TaskError(f"Rung {rung.name!r} changes nothing; see Rung.change.")
    if len(changed) > 1 and not rung.together:
        raise TaskError(
            f"Rung {rung.name!r} changes {', '.join(changed)} at once, so that nobody could say "
            "which of them helped; make rungs of them, or give together=True."
        )
    return after, tuple(said)
