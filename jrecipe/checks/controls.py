"""The controls of stage B: one experiment with many arms (B5, B7, B8, B9, B11).

Real inputs, blank inputs, shuffled labels, a tenth and ten times the learning rate, a few examples
to overfit, a well initialised head: each is an arm. All start from the same weights and see batches
of the same shape, so the arms are one vmapped scan, compiled once. Stage B is kept simple (B2):
augmentation and dropout are off. A foreign trainer, and a convolution on a CPU (see
`train.compiled`), run their arms one after another instead.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe import losses
from jrecipe.checks.compiling import jit_once
from jrecipe.data.order import batch_rows, padded_rows
from jrecipe.task import Task, Trainer, read
from jrecipe.train.compiled import scans_well
from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.train.frozen import path_name
from jrecipe.train.reference import optimizer_of
from jrecipe.train.state import TrainState
from jrecipe.train.step import make_loss_fn, make_update
from jrecipe.types import Array, Batch, Key, PyTree

FEW = 4  # examples to overfit; the seed says that two suffice
ROWS = 8192  # training examples that the controls see at the most
PROBE = 64  # validation examples whose predictions are followed
STRIDE = 15  # updates between two looks at the predictions


@dataclasses.dataclass(frozen=True)
class Arm:
    """One change to the training of the task.

    Attributes:
      name: of the arm.
      blank: every input is replaced by the same one.
      shuffled: targets are permuted among the training examples.
      few: the same few examples in every batch.
      rate: factor on every update, as on the learning rate.
      well: the final bias is initialised from the targets.
    """

    name: str
    blank: bool = False
    shuffled: bool = False
    few: bool = False
    rate: float = 1.0
    well: bool = False


ARMS = (
    Arm("real"),
    Arm("blank", blank=True),
    Arm("shuffled", shuffled=True),
    Arm("rate/10", rate=0.1),
    Arm("rate/100", rate=0.01),
    Arm("rate*10", rate=10.0),
    Arm("few", few=True),
    Arm("few, rate/10", few=True, rate=0.1),
    Arm("few, rate*10", few=True, rate=10.0),
    Arm("few, rate/100", few=True, rate=0.01),
    Arm("few, rate*100", few=True, rate=100.0),
)
WELL = Arm("well", well=True)
FOREIGN_ARMS = tuple(arm for arm in ARMS if arm.rate == 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What one arm did.

    Attributes:
      arm: which.
      steps: updates applied; fewer than planned if time ran out.
      train_loss: float[steps], loss of each training batch before its update.
      looks: int[s], steps at which the predictions on the probe were taken, from 0.
      probe: outputs on the probe at each look, leading axes [s, p].
      val: float[v], loss of each validation example at the end, real inputs (blank ones for a
        blank arm).
      train: float[t], loss of each of up to 512 training examples at the end, under the arm's
        inputs and targets.
      few_outputs: outputs on the few examples at the end.
      few: float[f], their loss.
      val_metric: float[v], metric of each validation example at the end; NaN without a metric.
      train_start: float[t], as `train` but before the first update.
      few_start: float[f], as `few` but before the first update.
      moved: parameter path -> size of its change, relative to the size of all parameters.
    """

    arm: Arm
    steps: int
    train_loss: np.ndarray
    looks: np.ndarray
    probe: PyTree
    val: np.ndarray
    train: np.ndarray
    few_outputs: PyTree
    few: np.ndarray
    val_metric: np.ndarray
    train_start: np.ndarray
    few_start: np.ndarray
    moved: Mapping[str, float]

    @property
    def val_mean(self) -> tuple[float, float]:
        """Mean validation loss and its standard error."""
        return mean_and_stderr(self.val, np.ones_like(self.val))

    @property
    def train_mean(self) -> tuple[float, float]:
        """Mean training loss at the end and its standard error."""
        return mean_and_stderr(self.train, np.ones_like(self.train))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Controls:
    """The results of all arms and the examples they used.

    Attributes:
      arms: name -> result.
      planned: updates that each arm should have made.
      few: the few examples, each once.
      probe: inputs and targets whose predictions were followed.
      val_targets: targets of the validation examples scored.
      seconds: wall time, compilation included.
    """

    arms: Mapping[str, ArmResult]
    planned: int
    few: Batch
    probe: Batch
    val_targets: PyTree
    seconds: float


def simplified(task: Task) -> Task:
    """Returns the task as stage B trains it (B2): no augmentation and no dropout."""
    model = task.model
    if model is not None and model.without is not None:
        model = model.without("dropout")
    return task.replace(augment=None, model=model)


def blank_like(inputs: PyTree) -> PyTree:
    """Returns one input that says nothing: zeros, or for integers (tokens) the first example."""

    def one(x: np.ndarray) -> np.ndarray:
        return np.zeros_like(x[0]) if np.issubdtype(x.dtype, np.floating) else np.array(x[0])

    return jax.tree.map(one, jax.tree.map(np.asarray, inputs))


def run_controls(
    task: Task,
    arms: Sequence[Arm],
    *,
    seed: int,
    steps: int,
    seconds: float,
    variables: Callable[[Arm], tuple[PyTree, PyTree]] | None = None,
) -> Controls:
    """Trains every arm for `steps` updates, or for as many as `seconds` allow, and scores them.

    Args:
      task: the task; it is simplified here.
      arms: what to change.
      seed: decides batches and weights.
      steps: updates of each arm, a multiple of `STRIDE`.
      seconds: wall time, compilation aside, after which no further stretch of `STRIDE` updates
        is begun.
      variables: `(arm) -> (params, state)` to start from; needed without a foreign trainer.
    """
    start = stepping = time.perf_counter()
    task = simplified(task)
    plan = _Plan.of(task, seed, steps)
    if task.trainer is not None:
        runner: _Runner = _Foreign(task, task.trainer, plan, arms, jax.random.key(seed))
    else:
        assert variables is not None
        runner = _Ours(task, plan, arms, jax.random.key(seed), [variables(arm) for arm in arms])
    probes, train_loss, looks = [runner.probe()], [], [0]
    before, weights = runner.score(), runner.params()
    done = 0
    while done < steps:
        train_loss.append(runner.advance(done))
        if done == 0:  # what the first stretch took to compile does not count
            stepping = time.perf_counter()
        done += STRIDE
        probes.append(runner.probe())
        looks.append(done)
        if time.perf_counter() - stepping > seconds:
            break
    curves = np.concatenate(train_loss, axis=1)
    results = {}
    after = runner.params()
    for i, (arm, scores) in enumerate(zip(arms, runner.score(), strict=True)):
        val, metric, train, few_outputs, few = scores
        results[arm.name] = ArmResult(
            arm=arm,
            steps=done,
            train_loss=curves[i],
            looks=np.array(looks),
            probe=jax.tree.map(lambda *x: np.stack(x), *[look[i] for look in probes]),
            val=np.asarray(val)[: plan.val_rows],
            train=np.asarray(train),
            few_outputs=jax.tree.map(np.asarray, few_outputs),
            few=np.asarray(few),
            val_metric=np.asarray(metric)[: plan.val_rows],
            train_start=np.asarray(before[i][2]),
            few_start=np.asarray(before[i][4]),
            moved=_movement(weights[i], after[i]),
        )
    return Controls(
        arms=results,
        planned=steps,
        few=plan.few,
        probe=plan.probe,
        val_targets=plan.val_targets,
        seconds=time.perf_counter() - start,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """Which examples the arms see; the same for all."""

    inputs: PyTree
    targets: PyTree
    blank: PyTree
    permutation: np.ndarray
    rows: np.ndarray  # int32[steps, b]
    few_rows: np.ndarray  # int32[b], the few examples repeated
    few: Batch
    probe: Batch
    val: Batch  # padded, [k, b, ...]
    val_rows: int
    val_targets: PyTree
    train: Batch  # up to 512 training examples
    train_rows: np.ndarray

    @classmethod
    def of(cls, task: Task, seed: int, steps: int) -> _Plan:
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
        ones = lambda k: jnp.ones(k, jnp.float32)  # noqa: E731
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
        rows = self.rows[step : step + STRIDE]
        return np.broadcast_to(self.few_rows, rows.shape) if arm.few else rows


_Scores = tuple[Array, Array, Array, PyTree, Array]


class _Runner(Protocol):
    """Advances all arms by `STRIDE` updates at a time."""

    def probe(self) -> list[PyTree]:
        """Returns outputs on the probe, per arm."""

    def advance(self, step: int) -> np.ndarray:
        """Makes the updates from `step` on; returns float[arms, STRIDE] training losses."""

    def score(self) -> list[_Scores]:
        """Returns (val losses, val metrics, training losses, few outputs, few losses) per arm."""

    def params(self) -> list[dict[str, np.ndarray]]:
        """Returns a copy of the parameters by path, per arm."""


class _Ours:
    """Arms of a model under jrecipe's own update: vmapped scans, or one after another."""

    def __init__(
        self, task: Task, plan: _Plan, arms: Sequence[Arm], key: Key, starts: list[Any]
    ) -> None:
        self.plan, self.arms = plan, arms
        model, loss, tx, metric = task.model, task.loss, optimizer_of(task), task.metric
        inputs, targets = jax.tree.map(jnp.asarray, (plan.inputs, plan.targets))
        permutation = jnp.asarray(plan.permutation)
        knobs = [
            {
                "blank": jnp.asarray(arm.blank),
                "shuffled": jnp.asarray(arm.shuffled),
                "rate": jnp.asarray(arm.rate, jnp.float32),
            }
            for arm in arms
        ]

        def blanked(x: PyTree, knob: Mapping[str, Array]) -> PyTree:
            return jax.tree.map(lambda x, b: jnp.where(knob["blank"], b, x), x, plan.blank)

        def update(
            state: TrainState, rows: Array, knob: Mapping[str, Array], data: PyTree
        ) -> tuple[TrainState, Array]:
            inputs, targets = data
            rate = lambda updates: jax.tree.map(lambda u: u * knob["rate"].astype(u.dtype), updates)  # noqa: E731
            scaled = optax.chain(tx, optax.stateless(lambda updates, params: rate(updates)))
            batch = Batch(
                blanked(jax.tree.map(lambda x: x[rows], inputs), knob),
                jax.tree.map(
                    lambda x: x[jnp.where(knob["shuffled"], permutation[rows], rows)], targets
                ),
                jnp.ones(rows.shape[0]),
            )
            one = make_update(make_loss_fn(model, loss), scaled)
            state, numbers = one(state, batch, jax.random.fold_in(state.key, state.step))
            return state, numbers["loss"]

        def start(params: PyTree, model_state: PyTree) -> TrainState:
            opt_state = optax.chain(tx, optax.stateless(lambda u, p: u)).init(params)
            return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, key)

        def outputs(state: TrainState, x: PyTree, knob: Mapping[str, Array]) -> PyTree:
            return model.apply(state.params, state.model_state, blanked(x, knob))[0]

        def score(state: TrainState, knob: Mapping[str, Array], plan_data: PyTree) -> _Scores:
            val, train, few, train_targets = plan_data

            def both(batch: Batch) -> tuple[Array, Array]:
                answer = outputs(state, batch.inputs, knob)
                value = losses.weighted(loss, answer, batch.targets)[0]
                if metric is None:
                    return value, jnp.full_like(value, jnp.nan)
                return value, losses.weighted(metric, answer, batch.targets)[0]

            def values(batch: Batch) -> Array:
                return losses.weighted(loss, outputs(state, batch.inputs, knob), batch.targets)[0]

            shown = train._replace(
                targets=jax.tree.map(
                    lambda a, b: jnp.where(knob["shuffled"], b, a), train.targets, train_targets
                )
            )
            few_outputs = outputs(state, few.inputs, knob)
            val_values, val_metrics = jax.lax.map(both, val)
            return (
                val_values.reshape(-1),
                val_metrics.reshape(-1),
                values(shown),
                few_outputs,
                losses.weighted(loss, few_outputs, few.targets)[0],
            )

        self.data = (inputs, targets)
        shuffled_targets = jax.tree.map(
            lambda x: x[permutation[jnp.asarray(plan.train_rows)]], targets
        )
        self.score_data = (plan.val, plan.train, plan.few, shuffled_targets)
        first = jit_once(start)(*starts[0])
        rows = jnp.zeros(plan.rows.shape[1], jnp.int32)
        self.together = scans_well(update, first, rows, knobs[0], self.data)
        if self.together:
            stack = lambda *x: jnp.stack(x)  # noqa: E731
            self.state = jax.vmap(start)(*jax.tree.map(stack, *starts))
            self.knobs = jax.tree.map(stack, *knobs)

            def stretch(state: TrainState, rows: Array, knob: Any, data: PyTree) -> Any:
                return jax.lax.scan(lambda s, r: update(s, r, knob, data), state, rows)

            over_arms = (0, 0, 0, None)
            self._advance = jax.jit(jax.vmap(stretch, over_arms), donate_argnums=0)
            self._probe = jit_once(jax.vmap(outputs, (0, None, 0)))
            self._score = jit_once(jax.vmap(score, (0, 0, None)))
        else:
            self.states = [jit_once(start)(*one) for one in starts]
            self.knobs = knobs
            self._advance = jax.jit(update, donate_argnums=0)
            self._probe = jit_once(outputs)
            self._score = jit_once(score)
            self.states = [jax.tree.map(jnp.copy, state) for state in self.states]

    def probe(self) -> list[PyTree]:
        x = self.plan.probe.inputs
        if self.together:
            return _unstack(self._probe(self.state, x, self.knobs), len(self.arms))
        pairs = zip(self.states, self.knobs, strict=True)
        return [jax.tree.map(np.asarray, self._probe(state, x, knob)) for state, knob in pairs]

    def advance(self, step: int) -> np.ndarray:
        rows = np.stack([self.plan.batch_rows(arm, step) for arm in self.arms])
        if self.together:
            self.state, loss = self._advance(self.state, rows, self.knobs, self.data)
            return np.asarray(loss)
        loss = np.zeros(rows.shape[:2])
        for i, knob in enumerate(self.knobs):
            values = []
            for row in rows[i]:
                self.states[i], value = self._advance(self.states[i], row, knob, self.data)
                values.append(value)
            loss[i] = [float(value) for value in values]
        return loss

    def params(self) -> list[dict[str, np.ndarray]]:
        if self.together:
            return [_by_path(params) for params in _unstack(self.state.params, len(self.arms))]
        return [_by_path(state.params) for state in self.states]

    def score(self) -> list[_Scores]:
        if self.together:
            return _unstack(self._score(self.state, self.knobs, self.score_data), len(self.arms))
        pairs = zip(self.states, self.knobs, strict=True)
        return [self._score(state, knob, self.score_data) for state, knob in pairs]


class _Foreign:
    """Arms of a user's own trainer: only its data can be changed, and it runs as it is."""

    def __init__(
        self, task: Task, trainer: Trainer, plan: _Plan, arms: Sequence[Arm], key: Key
    ) -> None:
        self.trainer, self.plan, self.arms, self.key = trainer, plan, arms, key
        self.states = [trainer.init(key) for _ in arms]
        self.loss = jax.jit(lambda outputs, targets: losses.weighted(task.loss, outputs, targets))
        metric = task.metric
        self.metric = metric and jax.jit(lambda o, t: losses.weighted(metric, o, t)[0])

    def _inputs(self, arm: Arm, inputs: PyTree) -> PyTree:
        if not arm.blank:
            return inputs
        return jax.tree.map(
            lambda x, b: jnp.broadcast_to(jnp.asarray(b, x.dtype), x.shape), inputs, self.plan.blank
        )

    def _targets(self, arm: Arm, rows: np.ndarray) -> PyTree:
        rows = self.plan.permutation[rows] if arm.shuffled else rows
        return jax.tree.map(lambda x: jnp.asarray(x[rows]), self.plan.targets)

    def probe(self) -> list[PyTree]:
        x = self.plan.probe.inputs
        return [
            jax.tree.map(np.asarray, self.trainer.predict(state, self._inputs(arm, x)))
            for arm, state in zip(self.arms, self.states, strict=True)
        ]

    def advance(self, step: int) -> np.ndarray:
        loss = np.full((len(self.arms), STRIDE), np.nan)
        for i, arm in enumerate(self.arms):
            for j, rows in enumerate(self.plan.batch_rows(arm, step)):
                inputs = jax.tree.map(lambda x, rows=rows: jnp.asarray(x[rows]), self.plan.inputs)
                batch = Batch(
                    self._inputs(arm, inputs), self._targets(arm, rows), jnp.ones(len(rows))
                )
                key = jax.random.fold_in(self.key, step + j)
                # Measured by us, on the weights before the update: a foreign metric may be wrong.
                if j == 0:
                    outputs = self.trainer.predict(self.states[i], batch.inputs)
                    value, weight = self.loss(outputs, batch.targets)
                    loss[i, j] = mean_and_stderr(np.asarray(value), np.asarray(weight))[0]
                self.states[i], _ = self.trainer.step(self.states[i], batch, key)
        return _fill(loss)

    def params(self) -> list[dict[str, np.ndarray]]:
        return [_by_path(self.trainer.params(state)) for state in self.states]

    def score(self) -> list[_Scores]:
        results = []
        for arm, state in zip(self.arms, self.states, strict=True):

            def values(inputs: PyTree, targets: PyTree, arm: Arm = arm, state: Any = state) -> Any:
                outputs = self.trainer.predict(state, self._inputs(arm, inputs))
                return outputs, self.loss(outputs, targets)[0]

            val = self.plan.val
            parts = [
                values(*jax.tree.map(lambda x, k=k: x[k], (val.inputs, val.targets)))
                for k in range(len(val.weights))
            ]
            metrics = [
                jnp.full_like(value, jnp.nan)
                if self.metric is None
                else self.metric(outputs, jax.tree.map(lambda x, k=k: x[k], val.targets))
                for k, (outputs, value) in enumerate(parts)
            ]
            losses_ = [value for _, value in parts]
            train = values(self.plan.train.inputs, self._targets(arm, self.plan.train_rows))[1]
            few_outputs, few = values(self.plan.few.inputs, self.plan.few.targets)
            ends = jnp.concatenate(losses_), jnp.concatenate(metrics)
            results.append((*ends, train, few_outputs, few))
        return results


def _unstack(tree: PyTree, n: int) -> list[PyTree]:
    tree = jax.tree.map(np.asarray, tree)
    return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(n)]


def _by_path(params: PyTree) -> dict[str, np.ndarray]:
    # A copy: a foreign trainer may write into its own arrays.
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {path_name(path): np.array(leaf, np.float64) for path, leaf in leaves}


def _movement(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Returns how far each parameter moved, relative to the norm of all parameters at the start."""
    total = float(np.sqrt(sum(np.sum(x**2) for x in before.values()))) or 1.0
    return {
        name: float(np.linalg.norm(after[name] - x)) / total
        for name, x in before.items()
        if name in after and after[name].shape == x.shape
    }


def _fill(rows: np.ndarray) -> np.ndarray:
    """Repeats the last measured value over the NaNs that follow it."""
    rows = rows.copy()
    for j in range(1, rows.shape[1]):
        gap = np.isnan(rows[:, j])
        rows[gap, j] = rows[gap, j - 1]
    return rows
