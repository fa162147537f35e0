"""How the arms of the controls train: together in one program, or one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jrecipe import losses
from jrecipe.checks.arm_data import ArmData
from jrecipe.checks.arms import STRIDE, Arm
from jrecipe.task import Task, Trainer
from jrecipe.train.compiled import jit_for_hundreds, jit_once, scans_well
from jrecipe.train.evaluate import mean_and_stderr
from jrecipe.train.frozen import path_name
from jrecipe.train.quick_on_cpu import quick_on_cpu
from jrecipe.train.reference import optimizer_of
from jrecipe.train.state import TrainState
from jrecipe.train.step import make_loss_fn, make_update
from jrecipe.types import Array, Batch, Key, PyTree

Scores = tuple[Array, Array, Array, PyTree, Array]


class Runner(Protocol):
    """Advances all arms by `STRIDE` updates at a time."""

    def probe(self) -> list[PyTree]:
        """Returns outputs on the probe, per arm."""

    def advance(self, step: int) -> np.ndarray:
        """Makes the updates from `step` on; returns float[arms, STRIDE] training losses."""

    def score(self) -> list[Scores]:
        """Returns (val losses, val metrics, training losses, few outputs, few losses) per arm."""

    def params(self) -> list[dict[str, np.ndarray]]:
        """Returns a copy of the parameters by path, per arm."""

    def variables(self) -> list[tuple[PyTree, PyTree] | None]:
        """Returns `(params, state)` of the model, per arm; None where they are the user's own."""


class OwnRunner:
    """Arms of a model under jrecipe's own update: vmapped scans, or one after another."""

    def __init__(
        self, task: Task, plan: ArmData, arms: Sequence[Arm], key: Key, starts: list[Any]
    ) -> None:
        self.plan, self.arms = plan, arms
        model, loss, tx, metric = task.model, task.loss, optimizer_of(task), task.metric
        inputs, targets = jax.tree.map(jnp.asarray, (plan.inputs, plan.targets))
        permutation = jnp.asarray(plan.permutation)
        knobs = [
            {
                "blank": np.asarray(arm.blank),
                "shuffled": np.asarray(arm.shuffled),
                "rate": np.asarray(arm.rate, np.float32),
                "undecayed": np.asarray(arm.undecayed),
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
            scaled = optax.chain(
                _undecayed(tx, knob["undecayed"]),
                optax.stateless(lambda updates, params: rate(updates)),
            )
            batch = Batch(
                blanked(jax.tree.map(lambda x: x[rows], inputs), knob),
                jax.tree.map(
                    lambda x: x[jnp.where(knob["shuffled"], permutation[rows], rows)], targets
                ),
                jnp.ones(rows.shape[0]),
            )
            one = make_update(make_loss_fn(model, loss), scaled, frozen=tuple(task.frozen))
            state, numbers = one(state, batch, jax.random.fold_in(state.key, state.step))
            return state, numbers["loss"]

        def start(params: PyTree, model_state: PyTree) -> TrainState:
            opt_state = optax.chain(tx, optax.stateless(lambda u, p: u)).init(params)
            return TrainState(jnp.zeros((), jnp.int32), params, model_state, opt_state, key)

        def outputs(state: TrainState, x: PyTree, knob: Mapping[str, Array]) -> PyTree:
            return model.apply(state.params, state.model_state, blanked(x, knob))[0]

        def each_batch(function: Callable[[Batch], Any], batches: Batch) -> Any:
            if self.together:
                return jax.lax.map(function, batches)
            count = len(batches.weights)
            split = [jax.tree.map(lambda x, i=i: x[i], batches) for i in range(count)]
            return jax.tree.map(lambda *x: jnp.stack(x), *[function(batch) for batch in split])

        def score(state: TrainState, knob: Mapping[str, Array], plan_data: PyTree) -> Scores:
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
            val_values, val_metrics = each_batch(both, val)
            return (
                val_values.reshape(-1),
                val_metrics.reshape(-1),
                values(shown),
                few_outputs,
                losses.weighted(loss, few_outputs, few.targets)[0],
            )

        self.data = (inputs, targets)
        shuffled_targets = jax.tree.map(
            lambda x: jnp.asarray(x[plan.permutation[plan.train_rows]]), plan.targets
        )
        self.score_data = (plan.val, plan.train, plan.few, shuffled_targets)
        first = jit_once(start)(*starts[0])
        rows = np.zeros(plan.rows.shape[1], np.int32)
        self.together = scans_well(update, first, rows, knobs[0], self.data)
        if self.together:

            def start_all(starts: Sequence[tuple[PyTree, PyTree]]) -> TrainState:
                return jax.vmap(start)(*jax.tree.map(lambda *x: jnp.stack(x), *starts))

            self.state = jit_once(start_all)(starts)
            self.knobs = jax.tree.map(lambda *x: np.stack(x), *knobs)

            def stretch(state: TrainState, rows: Array, knob: Any, data: PyTree) -> Any:
                return jax.lax.scan(lambda s, r: update(s, r, knob, data), state, rows)

            over_arms = (0, 0, 0, None)
            self._advance = jit_for_hundreds(jax.vmap(stretch, over_arms), donate_argnums=0)
            self._probe = jit_once(jax.vmap(outputs, (0, None, 0)))
            self._score = jit_once(jax.vmap(score, (0, 0, None)))
        else:
            self.states = [jit_once(start)(*one) for one in starts]
            self.knobs = knobs
            self._advance = jit_for_hundreds(quick_on_cpu(update), donate_argnums=0)
            self._probe = jit_once(outputs)
            self._score = jit_once(score)
            self.states = [jax.tree.map(jnp.copy, state) for state in self.states]

    def probe(self) -> list[PyTree]:
        """See `Runner.probe`."""
        x = self.plan.probe.inputs
        if self.together:
            return _unstack(self._probe(self.state, x, self.knobs), len(self.arms))
        pairs = zip(self.states, self.knobs, strict=True)
        return [jax.tree.map(np.asarray, self._probe(state, x, knob)) for state, knob in pairs]

    def advance(self, step: int) -> np.ndarray:
        """See `Runner.advance`."""
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
        """See `Runner.params`."""
        if self.together:
            return [_by_path(params) for params in _unstack(self.state.params, len(self.arms))]
        return [_by_path(state.params) for state in self.states]

    def variables(self) -> list[tuple[PyTree, PyTree] | None]:
        """See `Runner.variables`."""
        if self.together:
            return list(_unstack((self.state.params, self.state.model_state), len(self.arms)))
        return [jax.tree.map(np.asarray, (s.params, s.model_state)) for s in self.states]

    def score(self) -> list[Scores]:
        """See `Runner.score`."""
        if self.together:
            return _unstack(self._score(self.state, self.knobs, self.score_data), len(self.arms))
        pairs = zip(self.states, self.knobs, strict=True)
        return [self._score(state, knob, self.score_data) for state, knob in pairs]


def _undecayed(
    tx: optax.GradientTransformation, undecayed: Array
) -> optax.GradientTransformationExtraArgs:
    """Hides the weights from an optimiser, so that nothing decays, where `undecayed` is True."""
    tx = optax.with_extra_args_support(tx)

    def update(grads: PyTree, state: PyTree, params: PyTree = None, **extra: Any) -> Any:
        shown = jax.tree.map(lambda x: jnp.where(undecayed, jnp.zeros_like(x), x), params)
        return tx.update(grads, state, shown, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


class ForeignRunner:
    """Arms of a user's own trainer: only its data can be changed, and it runs as it is."""

    def __init__(
        self, task: Task, trainer: Trainer, plan: ArmData, arms: Sequence[Arm], key: Key
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
        """See `Runner.probe`."""
        x = self.plan.probe.inputs
        return [
            jax.tree.map(np.asarray, self.trainer.predict(state, self._inputs(arm, x)))
            for arm, state in zip(self.arms, self.states, strict=True)
        ]

    def advance(self, step: int) -> np.ndarray:
        """See `Runner.advance`."""
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
        """See `Runner.params`."""
        return [_by_path(self.trainer.params(state)) for state in self.states]

    def variables(self) -> list[tuple[PyTree, PyTree] | None]:
        """See `Runner.variables`."""
        return [None] * len(self.arms)

    def score(self) -> list[Scores]:
        """See `Runner.score`."""
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


def _fill(rows: np.ndarray) -> np.ndarray:
    """Repeats the last measured value over the NaNs that follow it."""
    rows = rows.copy()
    for j in range(1, rows.shape[1]):
        gap = np.isnan(rows[:, j])
        rows[gap, j] = rows[gap, j - 1]
    return rows
