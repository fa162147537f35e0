"""Wall time of a run that was asked for, and what is left of it."""

from __future__ import annotations

import math
import time

RESERVE = 6.0  # seconds, of what is asked for, that the report takes in the end


class Deadline:
    """When a run should end.

    Args:
      minutes: asked for, > 0; None for no end.
      spent: seconds that the run had before, where it goes on.
    """

    def __init__(self, minutes: float | None = None, spent: float = 0.0) -> None:
        self.minutes = minutes
        self._start = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds so far, those before a resume among them."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds until it, >= 0, less what the report will take; infinite where there is none."""
        if self.minutes is None:
            return math.inf
        return max(60.0 * self.minutes - RESERVE - self.spent, 0.0)

    def part(self, share: float) -> Deadline:
        """Returns the deadline of a stage that may take a share of what is left."""
        if self.minutes is None:
            return self
        return Deadline((share * self.left + RESERVE) / 60.0)
