"""When to stop: the validation loss has not fallen for some evaluations (D11).

A function of the losses measured so far, so that a run that is resumed stops where it would have
stopped, and nothing has to be saved for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.train.history import History


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
    last, lowest = 0, np.inf
    for i, loss in enumerate(losses):
        if np.isfinite(loss) and loss < lowest - (min_delta if np.isfinite(lowest) else 0.0):
            last, lowest = i, float(loss)
    return max(len(losses) - 1 - last, 0)


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
