"""A cooldown: the learning rate falls to 0 over the last updates of a run, whenever they are.

A run without an end has a constant rate, as a schedule in shares of the run has nothing to be a
share of. What decay brings is fetched when somebody wants the result: a few more updates, over
which whatever the optimiser does is multiplied by a factor that falls in a line. It is a function
of the step and no part of the state, so any saved run can be cooled down.

References:
  Hu et al., "MiniCPM", 2024, section 4 (warm-up, stable, decay).
  Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jrecipe.task import Task
from jrecipe.train.averaging import AverageState
from jrecipe.types import Array, PyTree, TaskError

_LAST = 2**31  # updates that an int32 counts


def cooling(steps: int, updates: int) -> Callable[[Array], Array]:
    """Returns `(updates applied, int32[]) -> float32[]`: 1 at first, and a line to 0 at the end.

    Args:
      steps: of the run.
      updates: at its end, over which the factor falls, >= 1.

    Example:
      >>> factor = cooling(steps=10, updates=4)
      >>> [float(factor(jnp.int32(step))) for step in (0, 6, 7, 9, 10)]
      [1.0, 1.0, 0.75, 0.25, 0.0]
    """

    def factor(step: Array) -> Array:
        return jnp.clip((steps - step) / updates, 0.0, 1.0).astype(jnp.float32)

    return factor


def require_coolable(task: Task, state: PyTree, steps: int | None, updates: int) -> None:
    """Raises TaskError if a run cannot end with a cooldown.

    Args:
      task: what is trained.
      state: of it.
      steps: of the run, None for no end.
      updates: of the cooldown, >= 1.
    """
    if steps is None or not updates <= steps < _LAST:
        raise TaskError(
            f"fit got cooldown={updates!r} with steps={steps!r}; it is the last part of a run that "
            "has an end, at most all of it."
        )
    if task.trainer is not None:
        raise TaskError(
            f"fit got cooldown={updates!r} with a trainer of the task's own, whose optimizer it "
            "does not know; let its rate fall there."
        )
    if not coolable(task, state):
        raise TaskError(
            f"fit got cooldown={updates!r} with averaged weights (`ema` or `swa`), which would be "
            "those of a run without it; averages stand in for a cooldown: leave it out."
        )


def coolable(task: Task, state: PyTree) -> bool:
    """Whether a cooldown is jrecipe's to make: not in a foreign step, nor beside averages."""
    if task.trainer is not None:
        return False
    averages = lambda node: isinstance(node, AverageState)  # noqa: E731
    return not any(map(averages, jax.tree.leaves(state.opt_state, is_leaf=averages)))
