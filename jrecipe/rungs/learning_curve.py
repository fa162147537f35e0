"""How the error falls with more data, and what doubling it should bring (D1)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np

from jrecipe.figures import Curves
from jrecipe.rungs.ready import some_data
from jrecipe.rungs.rung import Rung
from jrecipe.rungs.scores import train_rung
from jrecipe.task import Task
from jrecipe.types import TaskError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """Validation loss against the number of training examples.

    A power law `loss = a * rows ** -b` (Hestness et al., 2017) is fitted to points before, to say
    what the next one should be. It is straight on two logarithmic axes until the loss nears its
    floor, where it promises too much.

    Attributes:
      rows: int[p], rising.
      loss: float64[p, k], lowest validation loss of each seed on the way.
    """

    rows: np.ndarray
    loss: np.ndarray

    def law(self, points: int | None = None) -> tuple[float, float]:
        """Returns `(a, b)` of the law through the first `points` points, all by default."""
        x, y = np.log(self.rows[:points]), np.log(self.loss[:points].mean(axis=1))
        slope, start = np.polyfit(x, y, 1)
        return float(math.exp(start)), float(-slope)

    @property
    def predicted(self) -> np.ndarray:
        """float64[p], the loss of each point by the law of those before; NaN for the first two."""
        laws = [self.law(i) if i >= 2 else (math.nan, math.nan) for i in range(len(self.rows))]
        return np.array([a * n**-b for (a, b), n in zip(laws, self.rows, strict=True)])

    @property
    def doubled(self) -> float:
        """The loss that twice the data should bring, by the law of all points."""
        a, b = self.law()
        return float(a * (2 * self.rows[-1]) ** -b)

    def __str__(self) -> str:
        last = float(self.loss[-1].mean())
        return (
            f"Loss {last:.4g} from {self.rows[-1]} examples ({self.predicted[-1]:.4g} was "
            f"predicted from fewer); twice as many should bring {self.doubled:.4g}."
        )

    def figure(self) -> Curves:
        """Returns the curve, the range over seeds, and what was predicted."""
        mean = self.loss.mean(axis=1)
        return Curves(
            title="Validation loss against training examples",
            x=self.rows,
            lines={"measured": mean, "predicted from fewer": self.predicted},
            bands={"measured": (self.loss.min(axis=1), self.loss.max(axis=1))},
            xlabel="training examples",
            ylabel="loss",
            log_x=True,
            log_y=True,
        )


def learning_curve(
    task: Task,
    shares: Sequence[float] = (1 / 8, 1 / 4, 1 / 2, 1),
    *,
    steps: int = 2_000,
    seeds: int = 3,
) -> LearningCurve:
    """Trains a task on growing parts of its data, each for as many updates, stopped early.

    Args:
      task: with a validation split that stays as it is.
      shares: of the training examples, rising, in (0, 1]; at least three, so that the last can be
        predicted.
      steps: updates of each run.
      seeds: runs at each point.

    Raises:
      TaskError: if the shares do not rise or are too few, or a loss is not positive and finite.
    """
    if len(shares) < 3 or any(a >= b for a, b in itertools.pairwise(shares)):
        raise TaskError(
            f"learning_curve needs at least three rising shares, got {tuple(shares)}; "
            "(1/8, 1/4, 1/2, 1) doubles the data three times."
        )
    rows, loss = [], []
    for share in shares:
        part = some_data(share)(task)
        rung = Rung(name=f"{share:.3g} of the data", early_stopping=True)
        loss.append(train_rung(part, rung, steps, range(seeds)).val_loss)
        rows.append(len(part.train))
    found = np.stack(loss)
    if not (np.isfinite(found).all() and (found > 0).all()):
        raise TaskError(
            f"learning_curve needs losses > 0, got {found.mean(axis=1).tolist()}; a run that blew "
            "up or a loss below 0 follows no power law."
        )
    return LearningCurve(rows=np.array(rows), loss=found)
