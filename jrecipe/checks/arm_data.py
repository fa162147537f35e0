"""Which examples the arms of the controls see; the same for all of them."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.arms import STRIDE, Arm
from jrecipe.data.order import batch_rows, padded_rows
from jrecipe.task import Task, read
from jrecipe.types import Batch, PyTree

FEW = 4  # examples to overfit; the seed says that two suffice
ROWS = 8192  # training examples that the controls see at the most
PROBE = 64  # validation examples whose predictions are followed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmData:
    """The examples of one run of the controls.

    Attributes:
      inputs: up to 8192 training inputs, NumPy, leading axis n.
      targets: their targets.
      blank: one input that says nothing.
      permutation: int[n], for shuffled targets.
      rows: int32[steps, b], the batches.
      few_rows: int32[b], the few examples repeated.
      few: the few examples, each once.
      probe: validation examples whose predictions are followed.
      val: validation examples, padded, leading axes [k, b].
      val_rows: how many of them are real.
      val_targets: their targets.
      train: up to 512 training examples that are scored.
      train_rows: int, their rows.
    """

    inputs: PyTree
    targets: PyTree
    blank: PyTree
    permutation: np.ndarray
    rows: np.ndarray
    few_rows: np.ndarray
    few: Batch
    probe: Batch
    val: Batch
    val_rows: int
    val_targets: PyTree
    train: Batch
    train_rows: np.ndarray

    @classmethod
    def of(cls, task: Task, seed: int, steps: int) -> ArmData:
        """Draws the examples for arms of `steps` updates."""
        inputs, targets = jax.tree.map(np.asarray, read(task.train, ROWS))
        n = len(jax.tree.leaves(inputs)[0])
        size = min(task.batch_size, 32, n)
        rows = batch_rows(n, size, seed, 0, steps)
        take = lambda tree, index: jax.tree.map(lambda x: jnp.asarray(x[index]), tree)  # noqa: E731
        few = np.unique(rows[0])[: min(FEW, size)]
        few_rows = np.resize(few, size)
        val_inputs, val_targets = jax.tree.map(np.asarray, read(task.val, 1024))
        n_val = len(jax.tree.leaves(val_inputs)[0])
        index, masks = padded_rows(n_val, min(256, n_val))
        seen = np.linspace(0, n - 1, min(512, n)).astype(int)
        probe = np.arange(min(PROBE, n_val))
        ones = lambda k: jnp.asarray(np.ones(k, np.float32))  # noqa: E731
        return cls(
            inputs=inputs,
            targets=targets,
            blank=blank_like(inputs),
            permutation=np.random.default_rng([seed, 7]).permutation(n),
            rows=rows,
            few_rows=few_rows,
            few=Batch(take(inputs, few), take(targets, few), ones(len(few))),
            probe=Batch(take(val_inputs, probe), take(val_targets, probe), ones(len(probe))),
            val=Batch(take(val_inputs, index), take(val_targets, index), jnp.asarray(masks)),
            val_rows=n_val,
            val_targets=val_targets,
            train=Batch(take(inputs, seen), take(targets, seen), ones(len(seen))),
            train_rows=seen,
        )

    def batch_rows(self, arm: Arm, step: int) -> np.ndarray:
        """Returns int32[STRIDE, b], the rows of the updates from `step` on."""
        rows = self.rows[step : step + STRIDE]
        return np.broadcast_to(self.few_rows, rows.shape) if arm.few else rows


def blank_like(inputs: PyTree) -> PyTree:
    """Returns one input that says nothing: zeros, or for integers (tokens) the first example."""

    def one(x: np.ndarray) -> np.ndarray:
        return np.zeros_like(x[0]) if np.issubdtype(x.dtype, np.floating) else np.array(x[0])

    return jax.tree.map(one, jax.tree.map(np.asarray, inputs))
