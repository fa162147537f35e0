"""When to stop: the validation loss has not fallen for some evaluations (D11).

A function of the losses measured so far, so that a run that is resumed stops where it would have
stopped, and nothing has to be saved for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from jrecipe.train.history import History


class Falling:
    """Follows validation losses, one after the other.

    Attributes:
      lowest: the last loss that counted as a fall; infinite before the first.
      waited: evaluations since then.
    """

    def __init__(self) -> None:
        self.lowest, self.waited = math.inf, -1

    def add(self, loss: float, min_delta: float = 0.0) -> bool:
        """Takes the next loss and returns whether it has fallen; see `waited`."""
        fell = math.isfinite(loss) and (
            loss < self.lowest - min_delta or not math.isfinite(self.lowest)
        )
        self.lowest = float(loss) if fell else self.lowest
        self.waited = 0 if fell or self.waited < 0 else self.waited + 1
        return fell


def waited(losses: Sequence[float] | np.ndarray, min_delta: float = 0.0) -> int:
    """Returns how many evaluations have passed since the loss last fell.

    Args:
      losses: validation losses, in order; what is not finite is no improvement.
      min_delta: how far below the last loss that counted one must lie to count, >= 0. Many small
        steps count as soon as their sum does.

    Example:
      >>> waited([2.0, 1.0, 1.5, 1.2]), waited([2.0, 1.0, 0.99], min_delta=0.1)
      (2, 1)
    """
    falling = Falling()
    for loss in losses:
        falling.add(loss, min_delta)
    return max(falling.waited, 0)


def out_of_patience(
    history: History, patience: int | None, min_delta: float, eval_every: int
) -> str:
    """Returns why a run should stop, "" if it should go on.

    Args:
      history: of the run until now.
      patience: evaluations without an improvement that end it; None for no end.
      min_delta: see `waited`.
      eval_every: evaluations at other steps, as where an interrupted run ended, are not counted.
    """
    if patience is None:
        return ""
    steps, losses = history.steps("val_loss"), history["val_loss"]
    regular = steps % eval_every == 0
    since = waited(losses[regular], min_delta)
    if since < patience:
        return ""
    best = int(steps[regular][-1 - since])
    by = f" by more than {min_delta:g}" if min_delta else ""
    return f"the validation loss has not fallen{by} in {since} evaluations since step {best}"
