"""Healthy training code of other people, behind `jr.Trainer`: each a loop of its own kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from flax.training.train_state import TrainState

import jrecipe as jr
from gallery.healthy_networks import ConvNet, NnxMlp
from gallery.healthy_parts import (
    Net,
    batch_norm,
    classify,
    cross_entropy,
    digits,
    pictures,
    regress,
    task,
)
from gallery.program import Healthy


class Pieces(NamedTuple):
    """What every loop below is built on."""

    init: Callable[[Any], tuple[Any, Any]]
    mean_loss: Callable[..., tuple[Any, Any]]
    forward: Callable[[Any, Any, Any], Any]


def pieces(task: jr.Task) -> Pieces:
    """Returns init, mean loss and forward pass of a task's network, compiled where it pays."""
    model, loss = task.model, task.loss
    example = task.train.take(np.arange(2))[0]

    def mean_loss(params: Any, state: Any, batch: jr.Batch, key: Any) -> tuple[Any, Any]:
        outputs, state = model.apply(params, state, batch.inputs, key=key, train=True)
        value = loss(outputs, batch.targets)
        return jnp.sum(value * batch.weights) / jnp.sum(batch.weights), state

    forward = jax.jit(lambda params, state, inputs: model.apply(params, state, inputs)[0])
    return Pieces(jax.jit(lambda key: model.init(key, example)), mean_loss, forward)


def by_hand(seed: int) -> jr.Task:
    """Softmax regression in NumPy, gradients on paper, momentum, changed in place."""

    class Loop:
        def __init__(self, key: Any) -> None:
            rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
            self.params = {
                "w": rng.normal(0.0, 0.01, (64, 10)).astype(np.float32),
                "b": np.zeros(10, np.float32),
            }
            self.velocity = {name: np.zeros_like(p) for name, p in self.params.items()}

        def scores(self, x: Any) -> np.ndarray:
            return np.asarray(x) @ self.params["w"] + self.params["b"]

        def step(self, batch: jr.Batch) -> float:
            x, y, w = (np.asarray(part) for part in batch)
            z = self.scores(x)
            log_p = z - np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True))
            log_p -= z.max(1, keepdims=True)
            delta = (np.exp(log_p) - np.eye(10, dtype=np.float32)[y]) * (w / w.sum())[:, None]
            for name, gradient in (("w", x.T @ delta), ("b", delta.sum(axis=0))):
                self.velocity[name] = 0.9 * self.velocity[name] + gradient
                self.params[name] -= 0.05 * self.velocity[name]
            return float(-(log_p[np.arange(len(y)), y] * w).sum() / w.sum())

    trainer = jr.Trainer(
        init=Loop,
        step=lambda state, batch, key: (state, {"loss": state.step(batch)}),
        predict=lambda state, inputs: state.scores(inputs),
        params=lambda state: state.params,
    )
    (x, y), val = digits(seed)
    loss = jr.losses.softmax_cross_entropy()
    return task(
        seed, ((x, y), val), loss=loss, trainer=trainer, optimizer=optax.sgd(0.05, momentum=0.9)
    )


def mutable(task: jr.Task) -> jr.Task:
    """An object that keeps weights, statistics and optimiser, and is returned as it is."""
    parts, tx = pieces(task), task.optimizer

    @jax.jit
    def update(params: Any, state: Any, opt: Any, batch: jr.Batch, key: Any) -> Any:
        value, pull = jax.value_and_grad(parts.mean_loss, has_aux=True)(params, state, batch, key)
        updates, opt = tx.update(pull, opt, params)
        return optax.apply_updates(params, updates), value[1], opt, value[0]

    class Loop:
        def __init__(self, key: Any) -> None:
            self.params, self.state = parts.init(key)
            self.opt = tx.init(self.params)

    def step(loop: Loop, batch: jr.Batch, key: Any) -> tuple[Loop, dict[str, Any]]:
        new = update(loop.params, loop.state, loop.opt, batch, key)
        loop.params, loop.state, loop.opt, value = new
        return loop, {"loss": value}

    predict = lambda loop, inputs: parts.forward(loop.params, loop.state, inputs)  # noqa: E731
    return task.replace(trainer=jr.Trainer(Loop, step, predict, lambda loop: loop.params))


def functional(
    task: jr.Task,
    gradient: Callable[[Pieces], Callable[..., Any]] | None = None,
    average: float | None = None,
    donate: bool = True,
) -> jr.Task:
    """A compiled step that is given its state to reuse.

    Args:
      task: what is trained.
      gradient: `(pieces) -> ((params, state, batch, key) -> ((value, state), gradient))`.
      average: decay of the running average of the weights that `predict` uses, or None.
      donate: whether the old state's memory is reused.
    """
    parts, tx = pieces(task), task.optimizer
    pull = gradient or (lambda p: jax.value_and_grad(p.mean_loss, has_aux=True))
    value_and_grad = pull(parts)

    def init(key: Any) -> dict[str, Any]:
        params, state = parts.init(key)
        loop = {"params": params, "state": state, "opt": tx.init(params)}
        return {**loop, "average": jax.tree.map(jnp.array, params)} if average else loop

    @functools.partial(jax.jit, donate_argnums=(0,) if donate else ())
    def step(loop: dict[str, Any], batch: jr.Batch, key: Any) -> tuple[dict[str, Any], Any]:
        (value, state), grad = value_and_grad(loop["params"], loop["state"], batch, key)
        updates, opt = tx.update(grad, loop["opt"], loop["params"])
        params = optax.apply_updates(loop["params"], updates)
        new = {"params": params, "state": state, "opt": opt}
        if average:
            blend = lambda a, p: average * a + (1.0 - average) * p  # noqa: E731
            new["average"] = jax.tree.map(blend, loop["average"], params)
        return new, {"loss": value}

    def predict(loop: dict[str, Any], inputs: Any) -> Any:
        return parts.forward(loop["average" if average else "params"], loop["state"], inputs)

    return task.replace(trainer=jr.Trainer(init, step, predict, lambda loop: loop["params"]))


def in_fours(parts: Pieces) -> Callable[..., Any]:
    """The gradient as the weighted mean over four micro-batches, where the batch divides by 4."""
    value_and_grad = jax.value_and_grad(parts.mean_loss, has_aux=True)

    def gradient(params: Any, state: Any, batch: jr.Batch, key: Any) -> Any:
        if len(batch.weights) % 4:
            return value_and_grad(params, state, batch, key)
        micro = jax.tree.map(lambda a: a.reshape(4, -1, *a.shape[1:]), batch)

        def one(carry: Any, part: jr.Batch) -> tuple[Any, None]:
            total, value, grads, state = carry
            (mean, state), grad = value_and_grad(params, state, part, key)
            weight = part.weights.sum()
            add = lambda a, b: a + weight * b  # noqa: E731
            grads = jax.tree.map(add, grads, grad)
            return (total + weight, add(value, mean), grads, state), None

        zeros = jax.tree.map(jnp.zeros_like, params)
        (total, value, grads, state), _ = jax.lax.scan(one, (0.0, 0.0, zeros, state), micro)
        return (value / total, state), jax.tree.map(lambda g: g / total, grads)

    return gradient


def scaled(parts: Pieces) -> Callable[..., Any]:
    """The loss times 1024 for the backward pass, and the gradient divided by it again."""

    def big(*args: Any) -> tuple[Any, Any]:
        value, state = parts.mean_loss(*args)
        return 1_024.0 * value, state

    def gradient(*args: Any) -> Any:
        (value, state), grad = jax.value_and_grad(big, has_aux=True)(*args)
        return (value / 1_024.0, state), jax.tree.map(lambda g: g / 1_024.0, grad)

    return gradient


def shuffled(parts: Pieces) -> Callable[..., Any]:
    """Shuffles the rows of a batch among themselves first, which changes no mean."""

    def gradient(params: Any, state: Any, batch: jr.Batch, key: Any) -> Any:
        order = jax.random.permutation(key, len(batch.weights))
        batch = jax.tree.map(lambda a: a[order], batch)
        return jax.value_and_grad(parts.mean_loss, has_aux=True)(params, state, batch, key)

    return gradient


def by_example(parts: Pieces) -> Callable[..., Any]:
    """The mean of one gradient per example, as private training takes it."""
    value_and_grad = jax.value_and_grad(parts.mean_loss, has_aux=True)

    def gradient(params: Any, state: Any, batch: jr.Batch, key: Any) -> Any:
        single = jax.tree.map(lambda a: a[:, None], batch)._replace(
            weights=jnp.ones_like(batch.weights)[:, None]
        )
        (values, _), grads = jax.vmap(value_and_grad, (None, None, 0, None))(
            params, state, single, key
        )
        share = batch.weights / batch.weights.sum()
        mean = lambda g: jnp.tensordot(share, g, axes=1)  # noqa: E731
        return (mean(values), state), jax.tree.map(mean, grads)

    return gradient


def sharpness_aware(parts: Pieces) -> Callable[..., Any]:
    """The gradient a small step uphill, as in sharpness-aware minimisation."""
    value_and_grad = jax.value_and_grad(parts.mean_loss, has_aux=True)

    def gradient(params: Any, state: Any, batch: jr.Batch, key: Any) -> Any:
        (value, state), grad = value_and_grad(params, state, batch, key)
        step = 0.02 / (1e-12 + optax.global_norm(grad))
        uphill = jax.tree.map(lambda p, g: p + step * g, params, grad)
        return (value, state), value_and_grad(uphill, state, batch, key)[1]

    return gradient


def flax_state(task: jr.Task) -> jr.Task:
    """Flax's own `TrainState`."""
    parts = pieces(task)

    def init(key: Any) -> TrainState:
        return TrainState.create(apply_fn=None, params=parts.init(key)[0], tx=task.optimizer)

    @jax.jit
    def step(state: TrainState, batch: jr.Batch, key: Any) -> tuple[TrainState, Any]:
        pull = jax.value_and_grad(parts.mean_loss, has_aux=True)
        (value, _), grad = pull(state.params, {}, batch, key)
        return state.apply_gradients(grads=grad), {"loss": value, "step": state.step}

    predict = lambda state, inputs: parts.forward(state.params, {}, inputs)  # noqa: E731
    return task.replace(trainer=jr.Trainer(init, step, predict, lambda state: state.params))


def nnx_loop(seed: int) -> jr.Task:
    """NNX as its guide has it: a model and an optimiser that are changed in place."""

    def init(key: Any) -> tuple[Any, Any]:
        model = NnxMlp(nnx.Rngs(key))
        return model, nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)

    @nnx.jit
    def update(model: Any, optimizer: Any, batch: jr.Batch) -> Any:
        def mean_loss(model: Any) -> Any:
            value = cross_entropy(model(batch.inputs), batch.targets)
            return jnp.sum(value * batch.weights) / jnp.sum(batch.weights)

        value, grads = nnx.value_and_grad(mean_loss)(model)
        optimizer.update(model, grads)
        return value

    def step(state: tuple[Any, Any], batch: jr.Batch, key: Any) -> tuple[Any, Any]:
        del key
        return state, {"loss": update(*state, batch)}

    forward = nnx.jit(lambda model, inputs: model(inputs))
    trainer = jr.Trainer(
        init=init,
        step=step,
        predict=lambda state, inputs: forward(state[0], inputs),
        params=lambda state: nnx.to_pure_dict(nnx.state(state[0], nnx.Param)),
    )
    return task(seed, digits(seed), loss=cross_entropy, trainer=trainer)


def on_digits(name: str, make: Callable[[jr.Task], jr.Task], **fields: Any) -> Healthy:
    """Returns the digits trained by a loop of another kind."""
    return Healthy(name=f"foreign/{name}", build=lambda s: make(classify(s, **fields)))


MOMENTUM = optax.sgd(0.05, momentum=0.9)
FOREIGN: tuple[Healthy, ...] = (
    Healthy(name="foreign/numpy-by-hand", build=by_hand),
    on_digits("mutable-object", mutable, optimizer=MOMENTUM),
    Healthy(name="foreign/mutable-regression", build=lambda s: mutable(regress(s))),
    on_digits("mutable-batch-norm", mutable, model=Net(norm=batch_norm)),
    on_digits("donated", functional),
    Healthy(
        name="foreign/donated-conv-batch-norm-dropout",
        build=lambda s: functional(classify(s, ConvNet(dropout=0.2), data=pictures(s))),
    ),
    on_digits("flax-train-state", flax_state, loss=cross_entropy),
    on_digits("micro-batches", lambda t: functional(t, in_fours)),
    on_digits("loss-scaled", lambda t: functional(t, scaled, donate=False)),
    on_digits("shuffles-its-batch", lambda t: functional(t, shuffled)),
    on_digits("per-example-gradients", lambda t: functional(t, by_example)),
    on_digits("sharpness-aware", lambda t: functional(t, sharpness_aware)),
    on_digits("average-in-evaluation", lambda t: functional(t, average=0.98)),
    Healthy(name="foreign/nnx-optimizer", build=nnx_loop),
)
