"""How large may the learning rate be? One short run in which it grows, that changes nothing."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.data.order import batch_rows
from jrecipe.figures import Curves
from jrecipe.task import Task
from jrecipe.train.compiled import roll, scans_well
from jrecipe.train.phases import task_at
from jrecipe.train.reference import optimizer_of, reference_trainer
from jrecipe.train.state import TrainState
from jrecipe.train.step import make_loss_fn, make_update
from jrecipe.types import Array, Batch, PyTree, TaskError

_FALL = 0.01  # share of the first loss by which it has to fall
_MEMORY = 0.9  # of the running mean of the loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class LrFind:
    """A learning-rate range test.

    Attributes:
      factors: float64[n], on the learning rate of the task's optimiser, growing; the run is cut
        where its loss left all bounds.
      losses: float64[n], loss of the training batch before the update with this factor.
      smooth: float64[n], its running mean.
      steepest: the factor at which the loss fell fastest per decade; NaN if it never fell.
      lowest: the factor at which the running mean was lowest; training begins to diverge there,
        unless it is the last.
    """

    factors: np.ndarray
    losses: np.ndarray
    smooth: np.ndarray
    steepest: float
    lowest: float

    @property
    def rises(self) -> bool:
        """Whether the loss rose again after its lowest point; if not, `high` was too low."""
        return bool(self.lowest < self.factors[-1])

    def curves(self) -> Curves:
        """Returns the loss over the factor as a figure."""
        return Curves(
            title=f"Learning-rate range test. {self}",
            x=self.factors,
            lines={"training batch": self.losses, "running mean": self.smooth},
            xlabel="factor on the learning rate",
            ylabel="loss",
            log_x=True,
        )

    def __str__(self) -> str:
        end = f"is lowest at {self.lowest:.3g} times"
        if not self.rises:
            end = f"does not rise up to {self.lowest:.3g} times"
        return f"The loss falls fastest at {self.steepest:.3g} times the learning rate, and {end}."


def lr_find(
    task: Task,
    *,
    low: float = 1e-4,
    high: float = 1e4,
    steps: int = 200,
    seed: int = 0,
    state: TrainState | None = None,
) -> LrFind:
    """Trains for a few updates while the learning rate grows, and follows the loss.

    A pure function: the state given stays as it was, to the bit, and nothing else is kept.

    Args:
      task: with a model; its optimiser's updates are scaled by factors from `low` to `high`.
      low: the first factor, > 0.
      high: the last factor, > `low`.
      steps: updates, >= 10.
      seed: decides weights and order.
      state: where to start; None for the untrained network. What is frozen there stays so.

    Raises:
      TaskError: if an argument is out of range, or the task has a trainer of its own.

    References:
      Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3.
    """
    if task.trainer is not None:
        raise TaskError("lr_find cannot scale the updates of a trainer of the task's own.")
    if not 0 < low < high or not math.isfinite(high):
        raise TaskError(f"lr_find needs 0 < low < high, got {low=}, {high=}.")
    if steps < 10:
        raise TaskError(f"lr_find needs steps >= 10, got {steps=}.")
    n, size = len(task.train), task.batch_size
    state = reference_trainer(task).init(jax.random.key(seed)) if state is None else state
    task = task_at(task, int(state.step))
    factors = np.geomspace(low, high, steps)
    rows = batch_rows(n, size, seed, int(state.step), steps)
    used, at = np.unique(rows, return_inverse=True)  # only these examples go to the device
    inputs, targets = jax.tree.map(jnp.asarray, task.train.take(used))
    losses = _run(task, state, at.reshape(rows.shape), factors, inputs, targets)
    return _read(factors, losses)


def _run(
    task: Task,
    state: TrainState,
    rows: np.ndarray,
    factors: np.ndarray,
    inputs: PyTree,
    targets: PyTree,
) -> np.ndarray:
    """Returns the loss before each update, float64[steps]."""
    tx = optax.with_extra_args_support(optimizer_of(task))
    loss_fn = make_loss_fn(task.model, task.loss, task.augment)

    def step(state: Any, item: tuple[Array, Array], inputs: PyTree, targets: PyTree) -> Any:
        rows, factor = item

        def scaled(grads: PyTree, opt_state: PyTree, params: PyTree = None) -> tuple[Any, Any]:
            updates, opt_state = tx.update(grads, opt_state, params)
            return jax.tree.map(lambda u: (u * factor).astype(u.dtype), updates), opt_state

        batch_inputs, batch_targets = jax.tree.map(lambda x: x[rows], (inputs, targets))
        batch = Batch(batch_inputs, batch_targets, jnp.ones(rows.shape[0]))
        growing = optax.GradientTransformation(tx.init, scaled)
        update = make_update(loss_fn, growing, frozen=tuple(task.frozen))
        state, numbers = update(state, batch, jax.random.fold_in(state.key, state.step))
        return state, numbers["loss"]

    items = (jnp.asarray(rows), jnp.asarray(factors, jnp.float32))
    first = jax.tree.map(lambda x: x[0], items)
    run = roll(step, scans_well(step, state, first, inputs, targets))
    own = jax.tree.map(jnp.copy, state)  # donated
    return np.asarray(run(own, items, len(rows), inputs, targets)[1], np.float64)


def _read(factors: np.ndarray, losses: np.ndarray) -> LrFind:
    """Reads a range test; pure."""
    bad = ~np.isfinite(losses) | (losses > losses[0] + 3 * np.abs(losses[0]) + 1.0)
    end = int(np.argmax(bad)) if bad.any() else len(losses)
    end = max(end, 1)
    factors, losses = factors[:end], losses[:end]
    smooth, running = np.empty(end), 0.0
    for i, loss in enumerate(losses):
        running = _MEMORY * running + (1 - _MEMORY) * loss
        smooth[i] = running / (1 - _MEMORY ** (i + 1))
    bottom = int(np.argmin(smooth)) if np.isfinite(smooth).all() else 0
    steepest = float("nan")
    if bottom >= 2 and smooth[0] - smooth[bottom] > _FALL * abs(smooth[0]):
        slope = np.gradient(smooth[: bottom + 1], np.log10(factors[: bottom + 1]))
        steepest = float(factors[np.argmin(slope)])
    return LrFind(
        factors=factors,
        losses=losses,
        smooth=smooth,
        steepest=steepest,
        lowest=float(factors[bottom]),
    )
