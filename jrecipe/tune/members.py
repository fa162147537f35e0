"""Members of a population: the same training with other numbers, as one compiled program (E).

The members of a group differ in numbers only (rate, decay, dropout, smoothing, strength of an
augmentation, seed), which are traced, so one program trains them all. It is a vmapped scan; a mesh
cuts the axis of the members, along which nothing has to be sent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jrecipe import losses
from jrecipe.data.order import batch_rows
from jrecipe.task import Task
from jrecipe.train.compiled import loops_well
from jrecipe.train.quick_on_cpu import quick_on_cpu
from jrecipe.train.reference import example_inputs, optimizer_of, update_of
from jrecipe.train.seeds import padded_batches, require_arms
from jrecipe.train.state import TrainState, create_state
from jrecipe.train.step import Update
from jrecipe.tune.space import Params
from jrecipe.types import Array, Batch, LossFunction, PyTree, TaskError

MakeTask = Callable[[Params], Task]
_MEMBER = "member"
_STILL_TRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@dataclasses.dataclass(frozen=True)
class Look:
    """What the members reached.

    Attributes:
      loss: float64[k], exact mean of the validation loss.
      metric: float64[k], exact mean of the task's metric; of its loss where it has none.
    """

    loss: np.ndarray
    metric: np.ndarray


class Members:
    """The programs of a group.

    Args:
      make_task: `(params) -> task`, called under a trace with the traced ones as `float32[]` or
        `int32[]`.
      fixed: what is the same for all members.
      example: values of one member, for shapes and data.
      devices: over which the members are shared.

    Raises:
      TaskError: if the task cannot be trained as an arm of one program.
    """

    def __init__(
        self, make_task: MakeTask, fixed: Params, example: Params, devices: Sequence[Any]
    ) -> None:
        task = make_task({**fixed, **example})
        require_arms(task)
        self.task, self.devices = task, tuple(devices)
        self._mesh = Mesh(np.array(self.devices), (_MEMBER,))
        self._cut = NamedSharding(self._mesh, PartitionSpec(_MEMBER))
        whole = NamedSharding(self._mesh, PartitionSpec())
        data = task.train.take(np.arange(len(task.train)))
        self._data = jax.device_put(jax.tree.map(jnp.asarray, data), whole)
        batches = padded_batches(task.val)
        self._val = jax.device_put(jax.tree.map(lambda *x: jnp.stack(x), *batches), whole)
        size, inputs = task.batch_size, example_inputs(task)
        judge = judged(task.loss)
        metric = task.metric or judge  # a loss of the user's own may have no metric

        def family(knobs: PyTree) -> Task:
            try:
                return make_task({**fixed, **knobs})
            except _STILL_TRACED as error:
                raise TaskError(
                    f"make_task turned a traced number into a Python one; the members share a "
                    f"program, in which {', '.join(sorted(knobs))} have no value yet. Compute with "
                    "jax.numpy, or name those that decide a shape in groups=(...)."
                ) from error

        def start(key: Any, knobs: PyTree) -> TrainState:
            own = family(knobs)
            return create_state(own.model, optimizer_of(own), inputs, key)

        def advance(
            state: TrainState, rows: Array, knobs: PyTree, data: PyTree
        ) -> tuple[TrainState, Array]:
            update = update_of(family(knobs))
            return jax.lax.scan(lambda s, row: one(update, s, row, data), state, rows)

        def one(
            update: Update, state: TrainState, row: Array, data: PyTree
        ) -> tuple[TrainState, Array]:
            inputs, targets = jax.tree.map(lambda x: x[row], data)
            batch = Batch(inputs, targets, jnp.ones(size))
            state, numbers = update(state, batch, jax.random.fold_in(state.key, state.step))
            return state, numbers["loss"]

        def alone(state: TrainState, row: Array, knobs: PyTree, data: PyTree) -> TrainState:
            return one(update_of(family(knobs)), state, row, data)[0]

        def sums(state: TrainState, knobs: PyTree, batch: Batch) -> Array:
            """float32[2, 2]: sums of value and weight, of loss and metric."""
            outputs = family(knobs).model.apply(state.params, state.model_state, batch.inputs)[0]
            found = []
            for measure in (judge, metric):
                value, weight = losses.weighted(measure, outputs, batch.targets, batch.weights)
                found.append(jnp.stack([(value * weight).sum(), weight.sum()]))
            return jnp.stack(found)

        def stretch(
            states: TrainState, rows: Array, knobs: PyTree, data: PyTree, val: Batch
        ) -> tuple[TrainState, Array]:
            states, _ = jax.vmap(advance, (0, 0, 0, None))(states, rows, knobs, data)
            each = jax.vmap(sums, (0, 0, None))
            # float32[batches, k, 2, 2], one batch after another
            found = jax.lax.map(lambda batch: each(states, knobs, batch), val)
            return states, jnp.swapaxes(found, 0, 1)

        self._step = jax.jit(quick_on_cpu(alone), donate_argnums=0)
        self._sums = jax.jit(sums)
        self._together: bool | None = None
        self._start = jax.jit(self._shared(jax.vmap(start), 2, 0), compiler_options=_effort(0))
        self._stretch = jax.jit(
            self._shared(stretch, 3, 2), donate_argnums=0, compiler_options=_effort(2)
        )
        self._survive = jax.jit(_survivors, static_argnums=2, out_shardings=self._cut)

    def _shared(self, run: Callable[..., Any], members: int, others: int) -> Callable[..., Any]:
        """Returns `run` with its members cut between the devices; nothing is sent among them."""
        if len(self.devices) == 1:
            return run
        cut, whole = PartitionSpec(_MEMBER), PartitionSpec()
        return jax.shard_map(
            run,
            mesh=self._mesh,
            in_specs=(*[cut] * members, *[whole] * others),
            out_specs=cut,
            check_vma=False,
        )

    def fill(self, count: int) -> int:
        """Returns the next number of members that the devices divide."""
        return -(-count // len(self.devices)) * len(self.devices)

    def start(self, seeds: Sequence[int], knobs: Mapping[str, np.ndarray]) -> Generation:
        """Returns the members before their first update.

        Args:
          seeds: of each.
          knobs: name -> float32[k] or int32[k].
        """
        count = self.fill(len(seeds))
        place = np.minimum(np.arange(count), len(seeds) - 1)  # the last one fills up
        seeds_of = np.asarray(seeds, np.int64)[place]
        put = lambda x: jax.device_put(x, self._cut)  # noqa: E731
        data = np.stack([jax.random.key_data(jax.random.key(int(seed))) for seed in seeds_of])
        keys = put(jax.random.wrap_key_data(jnp.asarray(data)))
        own = {name: put(np.asarray(value)[place]) for name, value in knobs.items()}
        states = jax.block_until_ready(self._start(keys, own))
        ids = np.where(np.arange(count) < len(seeds), np.arange(count), -1)
        return Generation(states, own, ids, seeds_of)

    def stretch(self, now: Generation, step: int, count: int) -> tuple[Generation, Look]:
        """Trains all members by `count` updates from `step` on, and looks at them.

        Args:
          now: the members; their states are donated.
          step: updates that they have.
          count: of updates to make; another number compiles the program anew.
        """
        n, size = len(self.task.train), self.task.batch_size
        rows = np.stack([batch_rows(n, size, int(seed), step, count) for seed in now.seeds])
        shared = jax.device_put(rows, self._cut)
        arguments = (now.states, shared, now.knobs, self._data, self._val)
        if self._together is None:  # what is traced is not traced again when it is called
            self._together = loops_well(self._stretch.trace(*arguments).jaxpr.jaxpr)
        if self._together:
            states, found = jax.block_until_ready(self._stretch(*arguments))
        else:
            states, found = self._in_turn(now, rows)
        total = np.asarray(found, np.float64).sum(axis=1)  # [k, 2, 2]
        means = total[..., 0] / total[..., 1]
        return dataclasses.replace(now, states=states), Look(means[:, 0], means[:, 1])

    def _in_turn(self, now: Generation, rows: np.ndarray) -> tuple[TrainState, Array]:
        """Trains one member after another, update by update: see `train.compiled`."""
        after: list[TrainState] = []
        found: list[Array] = []
        batches = [_member(self._val, i) for i in range(len(self._val.weights))]
        for i, own in enumerate(rows):
            if now.ids[i] < 0 and after:  # it only fills up
                after.append(after[-1])
                found.append(found[-1])
                continue
            state, knobs = _member(now.states, i), _member(now.knobs, i)
            for row in own:
                state = self._step(state, row, knobs, self._data)
            after.append(state)
            found.append(np.stack([self._sums(state, knobs, batch) for batch in batches]))
        stacked = jax.tree.map(lambda *x: jnp.stack(x), *after)
        return jax.device_put(stacked, self._cut), np.stack(found)

    def survive(self, now: Generation, values: np.ndarray, keep: int) -> Generation:
        """Returns the best members, ranked and moved together by a program of the devices.

        Args:
          now: the members.
          values: float64[k], lower is better; what is not finite is worst.
          keep: how many, filled up to a number that the devices divide.
        """
        ranked = np.where((now.ids >= 0) & np.isfinite(values), values, np.inf)
        keep = min(self.fill(keep), len(now.ids))
        numbered = jnp.asarray(now.ids, jnp.int32)
        states, knobs, ids, place = jax.block_until_ready(
            self._survive((now.states, now.knobs, numbered), jnp.asarray(ranked, jnp.float32), keep)
        )
        return Generation(states, knobs, np.asarray(ids), now.seeds[np.asarray(place)])


@dataclasses.dataclass(frozen=True)
class Generation:
    """The members that are still in training.

    Attributes:
      states: pytree, leading axis `k`.
      knobs: name -> float32[k] or int32[k].
      ids: int[k], the place of each in what `start` was given; -1 for one that only fills up.
      seeds: int64[k].
    """

    states: TrainState
    knobs: dict[str, Array]
    ids: np.ndarray
    seeds: np.ndarray


def _effort(level: int) -> dict[str, Any] | None:
    """Returns options by which XLA takes less time for a CPU's program.

    What draws weights runs once, and its random bits take long to optimise: 0. At 2 instead of 3 a
    stretch compiles in two thirds of the time and runs as fast; at 1 and 0 it does not.
    """
    if jax.default_backend() != "cpu":
        return None
    return {"xla_backend_optimization_level": level}


def _member(tree: PyTree, place: int) -> PyTree:
    return jax.tree.map(lambda x: x[place], tree)


def _survivors(members: PyTree, values: Array, keep: int) -> PyTree:
    """Returns the leaves of the `keep` members with the lowest values, and where they stood."""
    _, place = jax.lax.top_k(-values, keep)
    return (*jax.tree.map(lambda x: x[place], members), place)


def judged(loss: LossFunction) -> LossFunction:
    """Returns the loss by which members are compared: without label smoothing.

    What is smoothed has another floor, so that a loss cannot judge its own smoothing.
    """
    if isinstance(loss, losses.Loss) and hasattr(loss, "label_smoothing"):
        smoothed: Any = loss
        return dataclasses.replace(smoothed, label_smoothing=0.0)
    return loss
