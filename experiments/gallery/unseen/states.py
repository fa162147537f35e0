"""Loops on the state objects of flax: a TrainState, and a split and merged NNX model."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from flax.training import train_state

import jrecipe as jr
from gallery.planting import pick, planter
from gallery.program import Fault, Healthy, Strength
from gallery.unseen.loop_data import cancer, digits
from gallery.unseen.loop_networks import Params, log_odds
from gallery.unseen.loop_parts import CLASSES, YES_NO, State, mean, task

# A flax TrainState with dropout and BatchNorm


class Normed(nn.Module):
    """Two normalised layers with dropout between them."""

    @nn.compact
    def __call__(
        self, x: jax.Array, mask: jax.Array | None = None, train: bool = False, drop: bool = False
    ) -> jax.Array:
        """Returns logits; `train` normalises by the rows of `mask`, `drop` drops units."""
        for name in ("first", "second"):
            x = nn.Dense(32, name=f"{name}_dense")(x)
            x = nn.BatchNorm(not train, momentum=0.9, name=f"{name}_norm")(x, mask=mask)
            x = nn.Dropout(0.25, deterministic=not drop)(nn.relu(x))
        return nn.Dense(10, kernel_init=nn.initializers.normal(0.03), name="head")(x)


class StatsState(train_state.TrainState):
    """A TrainState that holds the statistics of BatchNorm too."""

    stats: Any


def digits_state(
    seed: int,
    keep: Callable[[Any, Any], Any] = lambda old, new: new,
    drop_key: Callable[[], Any] | None = None,
) -> jr.Task:
    """TrainState loop on digits; the defaults are right.

    Args:
      seed: of the data.
      keep: `(old, new) -> statistics` that the next state gets.
      drop_key: gives the key of dropout in predictions; None for no dropout there.
    """
    data, net, tx = digits(seed), Normed(), optax.adam(2e-3)

    def init(key: Any) -> StatsState:
        made = net.init(key, jnp.zeros((1, data[0][0].shape[1])))
        return StatsState.create(
            apply_fn=net.apply, params=made["params"], tx=tx, stats=made["batch_stats"]
        )

    @jax.jit
    def step(state: StatsState, batch: jr.Batch, key: Any) -> tuple[StatsState, Any]:
        def value(params: Params) -> tuple[jax.Array, Any]:
            logits, made = state.apply_fn(
                {"params": params, "batch_stats": state.stats},
                batch.inputs,
                mask=batch.weights[:, None] > 0,
                train=True,
                drop=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            return mean(CLASSES(logits, batch.targets), batch.weights), made["batch_stats"]

        (loss, stats), grads = jax.value_and_grad(value, has_aux=True)(state.params)
        state = state.apply_gradients(grads=grads, stats=keep(state.stats, stats))
        return state, {"loss": loss}

    @jax.jit
    def quiet(state: StatsState, inputs: Any) -> jax.Array:
        return net.apply({"params": state.params, "batch_stats": state.stats}, inputs)

    @jax.jit
    def noisy(state: StatsState, inputs: Any, key: Any) -> jax.Array:
        variables = {"params": state.params, "batch_stats": state.stats}
        return net.apply(variables, inputs, drop=True, rngs={"dropout": key})

    def predict(state: StatsState, inputs: Any) -> jax.Array:
        return quiet(state, inputs) if drop_key is None else noisy(state, inputs, drop_key())

    trainer = jr.Trainer(init, step, predict, lambda state: state.params)
    return task(data, CLASSES, trainer, optimizer=tx, batch_size=64)


def stats_of_old_state(seed: int, strength: Strength) -> jr.Task:
    """The old statistics are put into the new state; in the weak form, of the second norm only."""
    late = lambda old, new: {**new, "second_norm": old["second_norm"]}  # noqa: E731
    return digits_state(seed, keep=pick(strength, lambda old, new: old, late))


def dropout_in_predict(seed: int, strength: Strength) -> jr.Task:
    """Predictions drop units, by a new key at each call or (weak) by the same one."""
    calls = itertools.count()
    fresh = lambda: jax.random.key(next(calls))  # noqa: E731
    return digits_state(seed, drop_key=pick(strength, fresh, lambda: jax.random.key(0)))


# An NNX loop whose model and optimiser are split and merged at each step


class Screen(nnx.Module):
    """Three layers and one logit; `cut` names the layer behind which no gradient passes."""

    def __init__(self, prior: float, cut: str | None, *, rngs: nnx.Rngs):
        start = {"kernel_init": nnx.initializers.he_normal(), "rngs": rngs}
        self.stem = nnx.Linear(30, 16, **start)
        self.body = nnx.Linear(16, 16, **start)
        self.head = nnx.Linear(
            16,
            1,
            kernel_init=nnx.initializers.normal(0.05),
            bias_init=nnx.initializers.constant(prior),
            rngs=rngs,
        )
        self.cut = cut

    def __call__(self, x: jax.Array) -> jax.Array:
        """Returns logits float[b]."""
        for name in ("stem", "body"):
            x = nnx.relu(getattr(self, name)(x))
            x = jax.lax.stop_gradient(x) if self.cut == name else x
        return self.head(x)[:, 0]


def cancer_nnx(seed: int, cut: str | None = None, rebuild: int | None = None) -> jr.Task:
    """NNX loop on breast cancer; the defaults are right.

    Args:
      seed: of the data.
      cut: the layer behind which gradients are stopped.
      rebuild: steps after which the optimiser is made anew.
    """
    data, tx = cancer(seed), optax.adam(1e-3)

    def make(key: Any) -> tuple[Screen, nnx.Optimizer]:
        model = Screen(log_odds(data), cut, rngs=nnx.Rngs(key))
        return model, nnx.Optimizer(model, tx, wrt=nnx.Param)

    graph = nnx.graphdef(make(jax.random.key(0)))

    def init(key: Any) -> State:
        return nnx.state(make(key)), 0

    @jax.jit
    def update(leaves: Any, batch: jr.Batch) -> tuple[Any, jax.Array]:
        model, optimizer = nnx.merge(graph, leaves)

        def value(model: Screen) -> jax.Array:
            return mean(YES_NO(model(batch.inputs), batch.targets), batch.weights)

        loss, grads = nnx.value_and_grad(value)(model)
        optimizer.update(model, grads)
        return nnx.state((model, optimizer)), loss

    @jax.jit
    def renew(leaves: Any) -> Any:
        model, _ = nnx.merge(graph, leaves)
        return nnx.state((model, nnx.Optimizer(model, tx, wrt=nnx.Param)))

    def step(state: State, batch: jr.Batch, key: Any) -> tuple[State, Any]:
        leaves, count = state
        if rebuild and count % rebuild == 0:
            leaves = renew(leaves)
        leaves, loss = update(leaves, batch)
        return (leaves, count + 1), {"loss": loss}

    @jax.jit
    def outputs(leaves: Any, inputs: Any) -> jax.Array:
        return nnx.merge(graph, leaves)[0](inputs)

    def weights(state: State) -> Params:
        model, _ = nnx.merge(graph, state[0])
        return nnx.to_pure_dict(nnx.state(model, nnx.Param))

    trainer = jr.Trainer(init, step, lambda state, inputs: outputs(state[0], inputs), weights)
    return task(data, YES_NO, trainer, optimizer=tx, batch_size=32)


def optimizer_rebuilt(seed: int, strength: Strength) -> jr.Task:
    """The optimiser is made inside the loop, at each step or (weak) at each tenth."""
    return cancer_nnx(seed, rebuild=pick(strength, 1, 10))


def trunk_stopped(seed: int, strength: Strength) -> jr.Task:
    """`stop_gradient`, left from a probe, behind both hidden layers or (weak) behind the first."""
    return cancer_nnx(seed, cut=pick(strength, "body", "stem"))


procedure_fault, optimizer_fault = planter("procedure"), planter("optimizer")
model_fault = planter("model")

FAULTS: tuple[Fault, ...] = (
    procedure_fault(
        "digits_state/stats-of-old-state",
        stats_of_old_state,
        digits_state,
        "stored statistics follow training",
        "statistics-never-updated state-not-threaded train-eval-differ",
        "step model eval",
        "norm",
    ),
    procedure_fault(
        "digits_state/dropout-in-predict",
        dropout_in_predict,
        digits_state,
        "a prediction depends on its own example alone",
        "eval-not-deterministic eval-depends-on-batch",
        "eval model",
    ),
    optimizer_fault(
        "cancer_nnx/optimizer-rebuilt",
        optimizer_rebuilt,
        cancer_nnx,
        "moments of the optimiser last from step to step",
        "state-not-threaded",
        "step optimizer",
    ),
    model_fault(
        "cancer_nnx/trunk-stopped",
        trunk_stopped,
        cancer_nnx,
        "every parameter that outputs depend on gets a gradient",
        "gradient-cut parameters-frozen leaf-not-in-optimizer",
        "model step optimizer",
        "stem",
    ),
)
HEALTHY: tuple[Healthy, ...] = ()
