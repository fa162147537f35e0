"""What the checks of one task share: batches, compiled programs and the results of the controls.

Everything here is a cache of a pure function of (task, seed, budget), so the order of the checks
changes nothing, and the user's objects are never written to.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.checks.arms import ARMS, FOREIGN_ARMS, UNDECAYED, WELL, Controls
from jrecipe.checks.controls import run_controls, simplified
from jrecipe.checks.decay import decay_share
from jrecipe.checks.laws import Law, law_of
from jrecipe.data.order import batch_rows
from jrecipe.models.copies import copies
from jrecipe.task import Task, Trainer, read
from jrecipe.train.compiled import jit_once
from jrecipe.train.init_well import final_bias, set_leaf
from jrecipe.train.reference import example_inputs, optimizer_of, reference_trainer
from jrecipe.train.state import TrainState, state_of
from jrecipe.train.step import make_loss_fn
from jrecipe.types import Array, Batch, Key, Model, PyTree, TaskError

Budget = Literal["quick", "full"]
T = TypeVar("T")
DECAYS = 1e-3  # share of the first update from which there is decay at all
# Updates of each control arm, and seconds after which they stop early.
_EFFORT: dict[Budget, tuple[int, float]] = {"quick": (300, 40.0), "full": (900, 240.0)}


class Context:
    """A task under examination.

    Attributes:
      task: the task as the user gave it.
      seed: decides batches, weights and draws.
      budget: "quick" or "full"; how long the controls train.
      key: `jax.random.key(seed)`.
      trainer: what the user runs: the task's own trainer or the reference trainer.
      model: the task's model, None if only a foreign trainer was given.
      foreign: whether the task brought a trainer of its own.
    """

    def __init__(self, task: Task, seed: int = 0, budget: Budget = "quick") -> None:
        self.task = task
        self.seed = seed
        self.budget = budget
        self.key: Key = jax.random.key(seed)
        self.foreign = task.trainer is not None
        self.model: Model | None = task.model
        self._splits: dict[tuple[str, int | None], tuple[PyTree, PyTree]] = {}
        self._known: dict[str, Any] = {}

    @functools.cached_property
    def trainer(self) -> Trainer:
        """The trainer under examination; building the reference one compiles nothing yet."""
        if self.task.trainer is not None:
            return self.task.trainer
        own, tx = reference_trainer(self.task, jit_once), optimizer_of(self.task)
        rest = jit_once(lambda params, state, key: state_of(params, state, tx, key))
        inputs = example_inputs(self.task)

        def init(key: Key) -> TrainState:  # drawing weights takes long to compile: once is enough
            variables = self._init(jax.random.fold_in(key, 0), inputs)
            return rest(*variables, jax.random.fold_in(key, 1))

        return dataclasses.replace(own, init=init)

    def once(self, name: str, measure: Callable[[], T]) -> T:
        """Returns what `measure` returned when it was first asked for under this name.

        For measurements that several checks read; they must depend on the task, the seed and the
        budget alone, so that it does not matter which check asks first.
        """
        if name not in self._known:
            self._known[name] = measure()
        return self._known[name]

    def _rows(self, n: int, skip: int) -> np.ndarray:
        total = len(self.task.train)
        order = batch_rows(total, total, self.seed, 0)[0]
        return np.asarray(order).take(np.arange(skip, skip + n), mode="wrap")

    def batch(self, n: int | None = None) -> Batch:
        """Returns `n` training rows in training order, unaugmented; by default up to 32."""
        n = min(self.task.batch_size, 32) if n is None else n
        return self._take(self._rows(n, 0))

    def other(self, n: int | None = None) -> Batch:
        """Returns `n` more training rows, different from `batch(n)` where there are enough."""
        n = min(self.task.batch_size, 32) if n is None else n
        return self._take(self._rows(n, n))

    def _take(self, rows: np.ndarray) -> Batch:
        inputs, targets = jax.tree.map(jnp.asarray, self.task.train.take(rows))
        return Batch(inputs, targets, jnp.asarray(np.ones(len(rows), np.float32)))

    def split(self, name: str, limit: int | None = None) -> tuple[PyTree, PyTree] | None:
        """Returns `(inputs, targets)` of a split as NumPy arrays, None if the task has none.

        Args:
          name: "train", "val" or "test".
          limit: at most this many rows, spread evenly; None for all.
        """
        source = self.task.splits.get(name)
        if source is None:
            return None
        if limit is not None and limit >= len(source):
            limit = None
        if (name, limit) not in self._splits:
            self._splits[name, limit] = jax.tree.map(np.asarray, read(source, limit))
        return self._splits[name, limit]

    @functools.cached_property
    def _variables(self) -> tuple[PyTree, PyTree]:
        assert self.model is not None
        return self._init(jax.random.fold_in(self.key, 0), example_inputs(self.task))

    @functools.cached_property
    def _init(self) -> Any:
        assert self.model is not None
        return jit_once(self.model.init)

    @functools.cached_property
    def at_init(self) -> tuple[PyTree, PyTree, PyTree]:
        """`(inputs, targets, outputs)` of up to 512 training examples before any update."""
        inputs, targets = self.split("train", 512)  # type: ignore[misc]
        outputs = self.predict(self.fresh_state(), inputs)
        return inputs, targets, jax.tree.map(np.asarray, outputs)

    @functools.cached_property
    def law(self) -> Law | None:
        """The law of the task's loss, None if it has none that is known."""
        _, targets, outputs = self.at_init
        return law_of(self.task.loss, outputs, targets, self.seed)

    @functools.cached_property
    def other_inits(self) -> list[tuple[PyTree, PyTree]]:
        """`(params, outputs)` before any update from seven other seeds, on `at_init`'s rows."""
        inputs = self.at_init[0]
        found = []
        for i in range(1, 8):
            state = self.trainer.init(jax.random.fold_in(self.key, 1000 + i))
            params = jax.tree.map(np.array, self.trainer.params(state))
            found.append((params, jax.tree.map(np.asarray, self.predict(state, inputs))))
        return found

    @functools.cached_property
    def pretrained(self) -> bool:
        """Whether the task starts from given weights: no matrix depends on the seed, none is flat.

        Zeros and constants are no training; they are not counted.
        """
        own = jax.tree.leaves(self.trainer.params(self.fresh_state()))
        other = jax.tree.leaves(self.other_inits[0][0])
        pairs = [(np.asarray(a), b) for a, b in zip(own, other, strict=True) if np.ndim(a) >= 2]
        pairs = [(a, b) for a, b in pairs if a.size > 1 and np.ptp(a) > 0]
        return bool(pairs) and all(np.array_equal(a, b) for a, b in pairs)

    def variables(self) -> tuple[PyTree, PyTree]:
        """Returns `(params, state)` of the model at initialisation; needs a model."""
        return self._variables

    def fresh_state(self) -> Any:
        """Returns a new state of the trainer at step 0, always the same values."""
        return self.trainer.init(self.key)

    def apply(
        self,
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        key: Key | None = None,
        train: bool = False,
        without: tuple[str, ...] = (),
    ) -> tuple[PyTree, PyTree]:
        """Runs the model, compiled: `(outputs, state)`.

        Args:
          params: parameters of the model.
          state: its other state.
          inputs: a batch of inputs.
          key: for dropout; needed with `train`.
          train: training mode.
          without: parts to switch off, see `Model.without`.
        """
        return self._compiled(train, without)(params, state, inputs, key)

    @functools.cache  # noqa: B019 - lives as long as the examination
    def _compiled(self, train: bool, without: tuple[str, ...]) -> Any:
        assert self.model is not None
        model = self.model
        if without:
            assert model.without is not None
            model = model.without(*without)
        if train:
            return jit_once(lambda p, s, x, key: model.apply(p, s, x, key=key, train=True))
        return jit_once(lambda p, s, x, key: model.apply(p, s, x))

    def predict(self, state: Any, inputs: PyTree) -> PyTree:
        """Returns the trainer's outputs in evaluation mode."""
        return self.trainer.predict(state, inputs)

    @functools.cached_property
    def _losses(self) -> Any:
        return jit_once(lambda outputs, targets: losses.weighted(self.task.loss, outputs, targets))

    def losses(self, outputs: PyTree, targets: PyTree) -> tuple[Array, Array]:
        """Returns `(value float32[b], weight float32[b])` of the task's loss."""
        return self._losses(outputs, targets)

    @functools.cached_property
    def head_bias(self) -> tuple[str, np.ndarray] | None:
        """Path of the final bias and what it should be, None if there is none to set."""
        if self.foreign or self.model is None:
            return None
        try:
            return final_bias(self.task, *self.variables())
        except TaskError:
            return None

    @functools.cached_property
    def well_initialised(self) -> tuple[PyTree, PyTree] | None:
        """`(params, state)` with the final bias from the targets, None if that cannot be done."""
        if self.head_bias is None:
            return None
        params, state = self.variables()
        return set_leaf(params, *self.head_bias), state

    @functools.cached_property
    def decay_share(self) -> float:
        """How much of the first update comes from the weights; needs a model and own trainer."""
        params, state = self.variables()
        grads = self.gradient(params, state, self.batch())[1]
        return decay_share(optimizer_of(self.task), grads, params)

    @functools.cached_property
    def _gradient(self) -> Any:
        loss_fn = make_loss_fn(simplified(self.task).model, self.task.loss)

        def mean_loss(params: PyTree, state: PyTree, batch: Batch) -> Array:
            value, weight, _ = loss_fn(params, state, batch, self.key)
            return (value * weight).sum() / jnp.maximum(weight.sum(), 1e-8)

        return jit_once(jax.value_and_grad(mean_loss, allow_int=True))

    def gradient(self, params: PyTree, state: PyTree, batch: Batch) -> tuple[Array, PyTree]:
        """Returns `(loss, gradient)` of the mean loss in training, dropout off; needs a model.

        Args:
          params: parameters of the model.
          state: its other state.
          batch: of the length of `batch()`, as each other length compiles anew.

        Returns:
          the loss float32[] and a tree as `params`; float0 where a leaf is of integers.
        """
        return self._gradient(params, state, batch)

    @functools.cached_property
    def controls(self) -> Controls:
        """The arms of stage B, trained once for all the checks that read them."""
        if self.foreign:
            return self._run(self.task, FOREIGN_ARMS, None)
        well, arms = self.well_initialised, list(ARMS)
        if self.decay_share > DECAYS:
            arms.append(UNDECAYED)
        if well is None:
            return self._run(self.task, arms, lambda arm: self.variables())
        return self._run(
            self.task,
            (*arms, WELL),
            lambda arm: well if arm.well else self.variables(),
        )

    @functools.cached_property
    def bigger(self) -> Controls | None:
        """The "real" arm with twice the capacity; None with a foreign trainer.

        Two copies that start from the same given weights are no more capacity than one: None too.
        `copies` divides the sum by sqrt(2), which suits outputs around 0; what the average output
        of the network is at the start is put back, so that a final bias keeps its meaning.
        """
        if self.foreign or self.model is None or self.pretrained:
            return None
        double = copies(simplified(self.task).model, 2)
        average = jax.tree.map(lambda x: np.mean(x, axis=0), self.at_init[2])

        def apply(*args: Any, **options: Any) -> tuple[PyTree, PyTree]:
            outputs, state = double.apply(*args, **options)
            moved = jax.tree.map(
                lambda x, mean: x - jnp.asarray((2**0.5 - 1) * mean, x.dtype)[None],
                outputs,
                average,
            )
            return moved, state

        task = self.task.replace(model=Model(double.init, apply, name=double.name))
        keys = jax.random.split(jax.random.fold_in(self.key, 0), 2)
        both = [self._init(key, example_inputs(task)) for key in keys]
        start = jax.tree.map(lambda *x: np.stack(x), *both)
        return self._run(task, ARMS[:1], lambda arm: start)

    def _run(self, task: Task, arms: Any, variables: Any) -> Controls:
        steps, seconds = _EFFORT[self.budget]
        return run_controls(
            task, arms, seed=self.seed, steps=steps, seconds=seconds, variables=variables
        )
