"""A monitor that `fit` can carry: what the weights, gradients and predictions do while they train.

It looks before the first update, after a hundred, and every hundred or so from there, with one more
gradient pass and one forward pass, and less often where that would take more than 3 % of the time
that training takes, compilation aside. It changes nothing: the updates of a run with and without it
are the same to the bit.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe.data.buckets import source_training_rows
from jrecipe.task import Task
from jrecipe.train.frozen import path_name
from jrecipe.train.phases import task_at
from jrecipe.train.reference import optimizer_of, trainer_of
from jrecipe.train.step import make_loss_fn
from jrecipe.types import Array, Batch, Key, PyTree

EVERY = 100  # updates between two looks
SHARE = 0.03  # of the time of training that looking may take
LEAST = 0.05  # seconds that it may take in any case, so that runs of a second are seen too
PROBE = 64  # validation examples whose predictions are followed
MONITOR_STREAM = 0x6D  # keeps the draws of the monitor apart from those of training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """What was seen at one step.

    Attributes:
      step: updates applied before.
      params: parameter path -> norm of the weights.
      grads: parameter path -> norm of the gradient of a training batch; empty with a foreign
        trainer, as are the next three.
      updates: parameter path -> norm of the update that it makes, which is not applied.
      dead: parameter path of each matrix -> share of its units (last axis) without any gradient.
      noise_scale: batch size at which the noise of the gradient is as large as the gradient, from
        two halves of a batch; NaN if it cannot be told (McCandlish et al., 2018).
      moved: parameter path -> distance from the last look, per update since then.
      outputs: predictions on the probe, float64[p, ...].
    """

    step: int
    params: dict[str, float]
    grads: dict[str, float]
    updates: dict[str, float]
    dead: dict[str, float]
    noise_scale: float
    moved: dict[str, float]
    outputs: np.ndarray

    @property
    def update_ratio(self) -> float:
        """Size of an update relative to the weights, usually about 1e-3; NaN if unknown."""
        sizes = self.updates or self.moved
        weights = float(np.sqrt(sum(x**2 for x in self.params.values())))
        if not sizes or weights == 0:
            return float("nan")
        return float(np.sqrt(sum(x**2 for x in sizes.values()))) / weights


@dataclasses.dataclass
class Monitor:
    """Looks at a run.

    Attributes:
      task: what is trained.
      seed: of the run.
      every: updates between two looks.
      looks: what was seen, in order.
      seconds: wall time spent looking after the first update.
    """

    task: Task
    seed: int
    every: int = EVERY
    looks: list[Look] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        rows = np.arange(min(PROBE, len(self.task.val)))
        self._probe = jax.tree.map(jnp.asarray, self.task.val.take(rows)[0])
        self._trainer = trainer_of(self.task)
        self._measures: dict[tuple[str, ...], Callable[..., Any]] = {}
        self._last: dict[str, np.ndarray] = {}
        self._cost = 0.0
        self._begun: float | None = None

    def begin(self, step: int, state: Any) -> dict[str, float]:
        """Looks at the state before training, which compiles: the time of later looks counts."""
        return self._look(step, state)

    def due(self, step: int) -> bool:
        """Whether enough updates, and enough time, have passed since the last look."""
        if self._begun is None:  # the updates so far compiled the step: they tell nothing of time
            self._begun = time.perf_counter()
        # Every look is kept: a run of weeks is looked at about 700 times each time it doubles.
        if step - self.looks[-1].step < max(self.every, step // 1_000):
            return False
        passed = time.perf_counter() - self._begun - self.seconds
        return self.seconds + self._cost <= max(SHARE * passed, LEAST)

    def look(self, step: int, state: Any) -> dict[str, float]:
        """Looks at a state and keeps the time; see `_look`."""
        start = time.perf_counter()
        row = self._look(step, state)
        self._cost = time.perf_counter() - start
        self.seconds += self._cost
        return row

    def _look(self, step: int, state: Any) -> dict[str, float]:
        """Looks at a state.

        Args:
          step: updates applied.
          state: of the trainer; it is not changed.

        Returns:
          Numbers for the history: "update_ratio", "noise_scale", "dead_units", "jitter", where
          they are known.
        """
        params = _by_path(self._trainer.params(state))
        outputs = self._trainer.predict(state, self._probe)
        numbers: tuple[dict[str, float], ...] = ({}, {}, {})
        noise = float("nan")
        if self.task.trainer is None:
            now = task_at(self.task, step)
            if tuple(now.frozen) not in self._measures:
                self._measures[tuple(now.frozen)] = _measure(now)
            size = self.task.batch_size
            rows = source_training_rows(self.task.train, size, self.seed, step)[0]
            inputs, targets = jax.tree.map(jnp.asarray, self.task.train.take(rows))
            batch = Batch(inputs, targets, jnp.ones(len(rows), jnp.float32))
            found = self._measures[tuple(now.frozen)](
                state, batch, jax.random.fold_in(state.key, MONITOR_STREAM)
            )
            *trees, squared, squared_half = jax.device_get(found)
            numbers = tuple({k: float(v) for k, v in tree.items()} for tree in trees)
            noise = noise_scale(float(squared), float(squared_half), size)
        before = self.looks[-1] if self.looks else None
        since = max(step - before.step, 1) if before is not None else 1
        moved = {
            name: float(np.linalg.norm(x - self._last[name])) / since
            for name, x in params.items()
            if name in self._last and self._last[name].shape == x.shape
        }
        leaf = np.asarray(jax.tree.leaves(outputs)[0], np.float64)
        grads, updates, dead = numbers
        look = Look(
            step=step,
            params={name: float(np.linalg.norm(x)) for name, x in params.items()},
            grads=grads,
            updates=updates,
            dead=dead,
            noise_scale=noise,
            moved=moved,
            outputs=leaf.reshape(len(leaf), -1) if leaf.ndim else leaf.reshape(1, 1),
        )
        self._last = params
        self.looks.append(look)
        row = {"update_ratio": look.update_ratio, "noise_scale": noise}
        if dead:
            row["dead_units"] = max(dead.values())
        if before is not None and before.outputs.shape == look.outputs.shape:
            hop = np.linalg.norm(look.outputs - before.outputs, axis=1)
            row["jitter"] = float(hop.mean())
        return {name: value for name, value in row.items() if np.isfinite(value)}


def noise_scale(squared: float, squared_half: float, batch_size: int) -> float:
    """Returns the simple noise scale of the gradient, in examples.

    Args:
      squared: squared norm of the gradient of a batch.
      squared_half: mean squared norm of the gradients of its halves.
      batch_size: examples in the batch.

    Returns:
      tr(covariance) / |gradient|^2, unbiased in both; NaN where the estimate of the gradient's own
      size is not positive.

    Source: McCandlish et al., "An Empirical Model of Large-Batch Training", 2018, appendix A.
    """
    half = batch_size // 2
    if half < 1 or half == batch_size:
        return float("nan")
    size = (batch_size * squared - half * squared_half) / (batch_size - half)
    spread = (squared_half - squared) / (1.0 / half - 1.0 / batch_size)
    return float(spread / size) if size > 0 and spread > 0 else float("nan")


def _measure(task: Task) -> Callable[..., Any]:
    """Compiles what is asked of a state: norms by path, dead units, and the noise."""
    loss_fn, tx = make_loss_fn(task.model, task.loss, task.augment), optimizer_of(task)

    def gradient(params: PyTree, state: Any, batch: Batch, key: Key) -> PyTree:
        def mean_loss(params: PyTree) -> Array:
            value, weight, _ = loss_fn(params, state.model_state, batch, key)
            return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

        return jax.grad(mean_loss)(params)

    def measure(state: Any, batch: Batch, key: Key) -> Any:
        half = batch.weights.shape[0] // 2
        parts = [jax.tree.map(lambda x: x[:half], batch)]
        parts.append(jax.tree.map(lambda x: x[half : 2 * half], batch))
        halves = [gradient(state.params, state, part, key) for part in parts]
        # The mean of the halves stands for the whole batch, which costs no third pass.
        grads = jax.tree.map(lambda a, b: 0.5 * (a + b), *halves)
        updates, _ = tx.update(grads, state.opt_state, state.params)
        squared = optax.tree.norm(grads, squared=True)
        squared_half = sum(optax.tree.norm(g, squared=True) for g in halves) / 2
        return _norms(grads), _norms(updates), _dead(grads), squared, squared_half

    return jax.jit(measure)


def _norms(tree: PyTree) -> dict[str, Array]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {path_name(path): jnp.linalg.norm(leaf.astype(jnp.float32)) for path, leaf in leaves}


def _dead(grads: PyTree) -> dict[str, Array]:
    """Returns the share of units of each matrix whose weights all have a gradient of 0."""
    return {
        path_name(path): (jnp.abs(leaf).max(axis=tuple(range(leaf.ndim - 1))) == 0).mean()
        for path, leaf in jax.tree_util.tree_leaves_with_path(grads)
        if leaf.ndim >= 2
    }


def _by_path(params: PyTree) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {path_name(path): np.array(leaf, np.float64) for path, leaf in leaves}
