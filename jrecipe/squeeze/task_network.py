"""One network with weights that no single training left: a soup, an average, a student (F)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jrecipe.data.order import batch_rows
from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation, evaluate
from jrecipe.types import PyTree, Source, TaskError


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TaskNetwork:
    """A network and its weights.

    Attributes:
      task: whose model, data, loss and metric they are.
      params: its parameters.
      model_state: its other state, as BatchNorm statistics.
    """

    task: Task
    params: PyTree
    model_state: PyTree

    @property
    def size(self) -> int:
        """How many numbers its parameters are."""
        return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(self.params))

    def predict(self, inputs: PyTree) -> PyTree:
        """Returns the outputs for a batch of inputs, in evaluation mode."""
        return outputs_of(self.task)((self.params, self.model_state), inputs)

    def evaluate(self, split: str = "val", **options: Any) -> Evaluation:
        """Evaluates on a split, exactly; options are those of `jr.evaluate`.

        Raises:
          TaskError: if the task has no such split.
        """
        source = split_of(self.task, split, type(self).__name__)
        options = {"metric": self.task.metric, **options}
        weights = (self.params, self.model_state)
        return evaluate(outputs_of(self.task), weights, source, self.task.loss, **options)


def outputs_of(task: Task) -> Callable[[tuple[PyTree, PyTree], PyTree], PyTree]:
    """Returns `((params, model_state), inputs) -> outputs` of a task's network, compiled once."""
    return _compiled(_Apply(task.model.apply))


def split_of(task: Task, split: str, who: str) -> Source:
    """Returns a split of a task; raises TaskError if it has none of that name."""
    source = task.splits.get(split)
    if source is None:
        raise TaskError(f"{who} has no split {split!r}; there are {[*task.splits]}.")
    return source


@dataclasses.dataclass(frozen=True)
class _Apply:
    apply: Callable[..., Any]

    def __call__(self, weights: tuple[PyTree, PyTree], inputs: PyTree) -> PyTree:
        return self.apply(*weights, inputs)[0]


@functools.lru_cache(maxsize=16)
def _compiled(apply: _Apply) -> Any:
    return jax.jit(apply)


def refresh_statistics(network: TaskNetwork, batches: int = 100, seed: int = 0) -> TaskNetwork:
    """Returns a network with the statistics that its own weights give, as those of BatchNorm.

    A mean of weights has no statistics: those of its parts belong to other weights. Training
    batches pass through it in training mode, and no weight moves.

    Args:
      network: one without statistics is returned as it is.
      batches: enough to forget those that it has; BatchNorm's with a momentum of 0.9 or less keep
        less than 1 in 10,000 of them after 100.
      seed: of the order and of dropout.

    Raises:
      TaskError: if `batches` is below 1.

    References:
      Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018,
      arXiv:1803.05407, section 3.2.
    """
    if batches < 1:
        raise TaskError(f"refresh_statistics needs batches >= 1, got {batches!r}; try 100.")
    if not jax.tree.leaves(network.model_state):
        return network
    task = network.task
    step = jax.jit(lambda p, s, x, key: task.model.apply(p, s, x, key=key, train=True)[1])
    state = network.model_state
    for i, rows in enumerate(batch_rows(len(task.train), task.batch_size, seed, 0, batches)):
        key = jax.random.fold_in(jax.random.key(seed), i)
        state = step(network.params, state, task.train.take(rows)[0], key)
    return dataclasses.replace(network, model_state=state)
