"""A network together with its numbers: what is compressed, compared and exported."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jrecipe.squeeze.ensembles import Ensemble
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.train.fitted import Fit
from jrecipe.train.reference import trainer_of
from jrecipe.train.state import TrainState
from jrecipe.types import Key, Model, PyTree, TaskError

ROWS = 256  # per forward pass


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A trained network; called with inputs, it gives outputs in evaluation mode.

    Attributes:
      model: the two pure functions.
      params: what the optimiser moved; also packed, see `jrecipe.squeeze.packed`.
      state: the rest, as BatchNorm statistics; `{}` if nothing.
    """

    model: Model
    params: PyTree
    state: PyTree = dataclasses.field(default_factory=dict)

    def __call__(self, inputs: PyTree) -> PyTree:
        """Returns the outputs for a batch of inputs [b, ...]."""
        return self.compiled(self.params, self.state, inputs)

    @functools.cached_property
    def compiled(self) -> Callable[[PyTree, PyTree, PyTree], PyTree]:
        """The compiled `(params, state, inputs) -> outputs`."""
        apply = self.model.apply
        return jax.jit(lambda params, state, inputs: apply(params, state, inputs)[0])

    def replace(self, **changes: Any) -> Network:
        """Returns a copy with some fields changed."""
        return dataclasses.replace(self, **changes)


def network_of(
    trained: Network | TaskNetwork | Ensemble | Fit | Callable[[PyTree], PyTree],
) -> Network:
    """Returns a trained network with its numbers.

    Args:
      trained: a `Fit`, whose best state is taken; a `TaskNetwork`; an `Ensemble`, whose members
        become one network; a function `inputs -> outputs` that JAX can trace; or a `Network`, which
        is returned as it is. Of a `Fit` by a trainer of the user's
        own it is the trainer's `predict`, whose numbers lie inside and cannot be made smaller.

    Raises:
      TaskError: for anything else.
    """
    if isinstance(trained, Network):
        return trained
    if isinstance(trained, TaskNetwork | Ensemble):
        task = trained.joint if isinstance(trained, Ensemble) else trained.task
        assert task.model is not None  # both are made of a model's parameters
        return Network(task.model, trained.params, trained.model_state)
    if isinstance(trained, Fit):
        best = trained.best
        if trained.task.trainer is None and isinstance(best, TrainState):
            assert trained.task.model is not None  # or a trainer would have been needed
            return Network(trained.task.model, best.params, best.model_state)
        predict = trainer_of(trained.task).predict
        return network_of(lambda inputs: predict(best, inputs))
    if not callable(trained):
        raise TaskError(
            "squeeze needs a Fit, a Network or a function inputs -> outputs, got "
            f"{type(trained).__name__}; give what jr.fit returned."
        )
    function = trained

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        del key, inputs
        return {}, {}

    def apply(
        params: PyTree, state: PyTree, inputs: PyTree, *, key: Key = None, train: bool = False
    ) -> tuple[PyTree, PyTree]:
        del params, key, train
        return function(inputs), state

    name = getattr(function, "__name__", "function")
    return Network(Model(init, apply, name=name), {})


def require_params(network: Network, function: str) -> None:
    """Raises TaskError if a network has no numbers of its own."""
    if not jax.tree.leaves(network.params):
        raise TaskError(
            f"{function} got the network {network.model.name!r} without parameters; a function "
            "keeps its numbers to itself, give a Fit of a task with a model."
        )


def in_rows(function: Callable[[PyTree], PyTree], inputs: PyTree, rows: int = ROWS) -> PyTree:
    """Returns a function's outputs for all inputs, as NumPy arrays, so many rows at a time."""
    count = len(jax.tree.leaves(inputs)[0])
    parts = [
        jax.tree.map(
            np.asarray,
            function(jax.tree.map(lambda x, start=start: x[start : start + rows], inputs)),
        )
        for start in range(0, count, rows)
    ]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)
