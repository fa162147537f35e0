"""A frozen set that shrinks while training goes on: progressive unfreezing (J3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from jrecipe.types import TaskError


@dataclasses.dataclass(frozen=True)
class Unfreezing:
    """Which parameters are frozen, as a function of the updates applied so far.

    A value for `Task.frozen`. Iterating over it gives the patterns of the first phase, with which
    training begins. One program is compiled for each phase. At a boundary the optimiser's state of
    what was trained before goes on as it is, its counts (and so schedules) as well, and that of
    newly trained leaves is fresh. `optax.adam` corrects the bias of all its moments by one count,
    so the first hundreds of updates of a leaf that joins late are several times too large; chain
    `jr.train.scale_by_leaf_adam()` instead, which counts each leaf's own updates.

    Attributes:
      phases: `(start, patterns)`, ascending; the first start is 0, the number of updates from which
        on the phase holds. What a later phase freezes has to be frozen in the one before.

    Raises:
      TaskError: if the starts are not 0 and ascending, or patterns are no tuple of texts.

    References:
      Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", 2018,
      section 3.3, arXiv:1801.06146.

    Example:
      >>> frozen = Unfreezing(((0, ("encoder/*",)), (100, ("encoder/layer_0/*",)), (200, ())))
      >>> frozen.at(0), frozen.at(150), frozen.at(10**6)
      (('encoder/*',), ('encoder/layer_0/*',), ())
      >>> frozen.next_start(150), frozen.next_start(200)
      (200, None)
    """

    phases: tuple[tuple[int, tuple[str, ...]], ...]

    def __post_init__(self) -> None:
        for phase in self.phases:
            if (
                not isinstance(phase, tuple)
                or len(phase) != 2
                or isinstance(phase[0], bool)
                or not isinstance(phase[0], int)
                or not isinstance(phase[1], tuple)
                or not all(isinstance(pattern, str) for pattern in phase[1])
            ):
                raise TaskError(
                    f"Unfreezing needs phases (start, (pattern, ...)), got {phase!r}; write e.g. "
                    "(0, ('encoder/*',))."
                )
        starts = [start for start, _ in self.phases]
        if not starts or starts[0] != 0 or sorted(set(starts)) != starts:
            raise TaskError(
                f"Unfreezing needs phases whose starts are 0 and ascending, got {starts}; give the "
                "updates from which on each holds."
            )

    def at(self, step: int) -> tuple[str, ...]:
        """Returns the patterns that are frozen in update `step`, counted from 0."""
        return [patterns for start, patterns in self.phases if start <= step][-1]

    def next_start(self, step: int) -> int | None:
        """Returns where the phase after that of `step` begins, None in the last."""
        return next((start for start, _ in self.phases if start > step), None)

    def __iter__(self) -> Iterator[str]:
        return iter(self.phases[0][1])

    def __len__(self) -> int:
        return len(self.phases[0][1])
