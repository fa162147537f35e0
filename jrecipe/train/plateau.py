"""Plateaus of the validation loss in a run without an end: told when they last, and when they end.

A loss has fallen when it lies below the last that counted by more than that one's standard error,
so that small steps count as soon as their sum can be told from chance. If it has not for twenty
evaluations, that is said; then after twice as many, and so on over the whole run. So nobody is told
often, and a run that is long already is given a longer time. Evaluations scatter too, as weights
jump about: nothing is said while those since then show a fall among themselves, for a lucky one
before them ends no learning.

With Gaussian scatter, over 300 evaluations: a loss that falls by 0.3 standard deviations from one
to the next was called flat in none of 50 runs, one that falls by 0.1 about once in each of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jrecipe.train.early_stopping import Falling
from jrecipe.train.history import History

PATIENCE = 20  # evaluations without a fall until the first plateau is told
_ERRORS = 2.0  # standard errors that make a difference


@dataclasses.dataclass(frozen=True)
class Plateau:
    """That the validation loss does not fall, or falls again.

    Attributes:
      waited: evaluations since it last fell; 0 when it falls again after a plateau was told.
      since: updates at which it last fell.
      loss: validation loss there.
      stderr: its standard error, 0 if it is not known.
      rise: by how much it rose between the halves of the evaluations since then, on average; 0
        where that is noise.
    """

    waited: int
    since: int
    loss: float
    stderr: float
    rise: float = 0.0

    def row(self) -> dict[str, float]:
        """Returns it as numbers for the history."""
        return {
            "plateau": self.waited,
            "plateau_since": self.since,
            "plateau_loss": self.loss,
            "plateau_stderr": self.stderr,
            "plateau_rise": self.rise,
        }

    @classmethod
    def of_row(cls, row: Mapping[str, float]) -> Plateau:
        """Returns what `row` was made of."""
        return cls(
            waited=int(row["plateau"]),
            since=int(row["plateau_since"]),
            loss=row["plateau_loss"],
            stderr=row["plateau_stderr"],
            rise=row["plateau_rise"],
        )

    def __str__(self) -> str:
        there = f"{self.loss:.4g} ± {self.stderr:.2g}"
        if not self.waited:
            return f"the validation loss falls again: {there} at step {self.since}"
        rises = f"; it has risen by {self.rise:.2g} meanwhile" if self.rise else ""
        return (
            f"the validation loss has not fallen by more than its standard error in {self.waited} "
            f"evaluations since step {self.since} ({there}){rises}"
        )


class Plateaus:
    """Follows the evaluations of a run.

    Args:
      history: of the run until now; what was told in it is not told again.
      eval_every: evaluations at other steps, as where a run was cut off, are not counted.

    Example:
      >>> seen = Plateaus(History(), eval_every=1)
      >>> for step, loss in enumerate([2.0, 1.0] + 20 * [1.01]):
      ...     row = {"step": step, "val_loss": loss, "val_loss_stderr": 0.1}
      ...     if plateau := seen.add(row):
      ...         print(plateau.waited, plateau.since)
      20 1
    """

    def __init__(self, history: History, eval_every: int) -> None:
        self._every = eval_every
        self._falling, self._since, self._stderr = Falling(), 0, 0.0
        self._later: list[float] = []  # losses since it last fell
        self._patience, self._told = PATIENCE, False
        for row in history.rows:
            if "val_loss" in row:
                self.add(row)

    def add(self, row: Mapping[str, float]) -> Plateau | None:
        """Takes an evaluation, and returns what is to be told then.

        Args:
          row: of the history, with "step", "val_loss" and "val_loss_stderr"; a loss that is not
            finite is no fall.
        """
        step, loss, stderr = int(row["step"]), row["val_loss"], row["val_loss_stderr"]
        if step % self._every:
            return None
        if self._falling.add(loss, self._stderr):
            told, self._told, self._later = self._told, False, []
            self._since, self._stderr = step, stderr if np.isfinite(stderr) else 0.0
            return Plateau(0, step, loss, self._stderr) if told else None
        self._later.append(loss)
        if self._falling.waited < self._patience:
            return None
        rise = trend(self._later)
        if rise < 0:
            return None
        self._patience, self._told = 2 * self._patience, True
        return Plateau(self._falling.waited, self._since, self._falling.lowest, self._stderr, rise)


def trend(values: Sequence[float]) -> float:
    """Returns how much the later half of some values lies above the earlier, 0 where it is noise.

    It counts from two standard errors of the difference on, those of the scatter from value to
    value.

    Example:
      >>> trend([1.0, 1.2, 0.9, 1.1, 1.0, 1.1]), trend([4.0, 4.1, 3.9, 2.0, 2.1, 1.9])
      (0.0, -2.0)
    """
    early, late = np.array_split(np.asarray(values, np.float64), 2)
    rise = float(late.mean() - early.mean()) if len(late) > 1 else 0.0
    if not np.isfinite(rise):
        return 0.0
    error = np.sqrt(early.var(ddof=1) / len(early) + late.var(ddof=1) / len(late))
    return rise if abs(rise) > _ERRORS * error else 0.0


def plateaus_in(history: History) -> list[tuple[int, Plateau]]:
    """Returns what was told in a run, with the steps at which it was."""
    return [(int(row["step"]), Plateau.of_row(row)) for row in history.rows if "plateau" in row]
