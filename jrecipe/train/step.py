"""The train step: pure, and compiled by whoever calls it (jit, vmap, scan, or pmap).

A loss function returns one value and one weight per example. The step takes the mean
`sum(value * weight) / sum(weight)` over the whole batch, on however many devices it lies, so
padding and layout never change what is minimised.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax

from jrecipe import losses
from jrecipe.augment.checked import require_kept
from jrecipe.train.frozen import split_frozen
from jrecipe.train.gradient import BatchLoss, accumulated_gradient, whole_gradient
from jrecipe.train.gradient_norm import gradient_norm
from jrecipe.train.loss_scaling import all_finite, keep_if, loss_scale
from jrecipe.train.state import TrainState
from jrecipe.types import Array, Augment, Batch, Key, LossFunction, Model, PyTree

Metrics = dict[str, Array]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Update = Callable[[TrainState, Batch, Key], tuple[TrainState, Metrics]]


def make_loss_fn(model: Model, loss: LossFunction, augment: Augment | None = None) -> BatchLoss:
    """Joins a network, a loss and an augmentation into the loss of a training batch.

    Args:
      model: applied with `train=True` and a key of its own.
      loss: `(outputs, targets) -> float32[b]` or `(value, weight)`.
      augment: applied first, with another key; None leaves the batch alone.

    Returns:
      `(params, model_state, batch, key) -> (value float32[b], weight float32[b], model_state)`.

    Raises:
      TaskError: from the loss, while tracing, if `augment` returns no `Batch`, or changes its
        structure, shapes or dtypes; targets may become soft.
    """

    def loss_fn(
        params: PyTree, model_state: PyTree, batch: Batch, key: Key
    ) -> tuple[Array, Array, PyTree]:
        if augment is not None:
            given, batch = batch, augment(jax.random.fold_in(key, 0), batch)
            require_kept("augment", given, batch, soft_targets=True)
        outputs, model_state = model.apply(
            params, model_state, batch.inputs, key=jax.random.fold_in(key, 1), train=True
        )
        value, weight = losses.weighted(loss, outputs, batch.targets, batch.weights)
        return value, weight, model_state

    return loss_fn


def make_update(
    loss_fn: BatchLoss,
    tx: optax.GradientTransformation,
    *,
    axis_name: str | None = None,
    accumulate: int = 1,
    frozen: Sequence[str] = (),
    factor: Callable[[Array], Array] | None = None,
) -> Update:
    """Builds `(state, batch, key) -> (state, metrics)`, where the caller gives the key of the step.

    Args:
      loss_fn: see `make_loss_fn`.
      tx: the optimiser.
      axis_name: name of a mapped axis (`pmap`, `shard_map`, `vmap`) over which the batch is laid;
        gradients are those of the mean over all of it, and each part draws its own noise.
      accumulate: pass the batch through the network in so many parts, one after another, which
        needs the memory of one. The gradient is that of the mean over the whole batch, to rounding,
        also where examples weigh differently and where the parts are not equally long. Each part
        draws its own noise, and BatchNorm normalises each by itself.
      frozen: patterns of paths that stay as they are. The loss is not differentiated by them, so
        that what stands below the lowest trained layer has no backward pass; wrap `tx` by
        `jr.train.freeze` with the same patterns, so that it keeps no state for them either (J2).
      factor: `(updates applied, int32[]) -> float32[]`, by which the optimiser's updates are
        multiplied, as its learning rate would be; see `jrecipe.train.cooldown`.

    Returns:
      A pure function. `metrics` holds float32[] "loss" (of the weights before the update) and
      "grad_norm" of what is trained; with a `loss_scaled` optimiser also "loss_scale", and a
      "grad_norm" of 0 where the update was left out because the scaled gradient overflowed.

    Raises:
      TaskError: from the function, if a batch has fewer rows than `accumulate` parts, or a pattern
        matches no parameter.
    """

    def total(x: Array) -> Array:
        return x if axis_name is None else jax.lax.psum(x, axis_name)

    def own(params: PyTree) -> PyTree:
        """Gives each part its own copy: `shard_map` sums the gradients of shared ones by itself."""
        if axis_name is None:
            return params
        zero = 0 * jax.lax.axis_index(axis_name)  # not the same on every part, as far as JAX knows
        return jax.tree.map(lambda x: x + zero.astype(x.dtype), params)

    def mean(x: Array) -> Array:  # counters advance alike everywhere
        return jax.lax.pmean(x, axis_name) if jnp.issubdtype(x.dtype, jnp.inexact) else x

    def update(state: TrainState, batch: Batch, key: Key) -> tuple[TrainState, Metrics]:
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        trained, join = split_frozen(own(state.params), frozen)
        gradient = whole_gradient if accumulate == 1 else accumulated_gradient(accumulate)
        scale = loss_scale(state.opt_state)
        used = loss_fn if scale is None else _scaled(loss_fn, scale)
        loss, grads, model_state = gradient(
            _of_trained(used, join), total, trained, state.model_state, batch, key
        )
        if axis_name is not None:
            loss, grads = jax.lax.psum((loss, grads), axis_name)
            model_state = jax.tree.map(mean, model_state)
        if scale is not None:
            loss, grads = jax.tree.map(lambda x: x / scale, (loss, grads))
        metrics = {"loss": loss, "grad_norm": gradient_norm(grads)}
        if scale is not None:
            finite = all_finite(grads)
            model_state = keep_if(finite, model_state, state.model_state)
            left_out = ~finite & (scale > 1)  # at 1 it is no matter of scale: it has to be seen
            metrics["grad_norm"] = jnp.where(left_out, 0.0, metrics["grad_norm"])
            metrics["loss_scale"] = scale
        # The optimiser sees the tree that it began with; what is frozen has no slope.
        before, put_back = split_frozen(state.params, frozen)
        _, with_zeros = split_frozen(jax.tree.map(jnp.zeros_like, state.params), frozen)
        updates, opt_state = tx.update(with_zeros(grads), state.opt_state, state.params)
        if factor is not None:
            by = factor(state.step)
            updates = jax.tree.map(lambda x: x * by.astype(x.dtype), updates)
        moved = optax.apply_updates(before, split_frozen(updates, frozen)[0])
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=put_back(moved),
            model_state=model_state,
            opt_state=opt_state,
        )
        return state, metrics

    return update


def _of_trained(loss_fn: BatchLoss, join: Callable[[PyTree], PyTree]) -> BatchLoss:
    """Returns a loss as a function of the trained leaves alone."""

    def of_trained(trained: PyTree, *args: PyTree) -> tuple[Array, Array, PyTree]:
        return loss_fn(join(trained), *args)

    return of_trained


def _scaled(loss_fn: BatchLoss, scale: Array) -> BatchLoss:
    """Returns the loss times a number, so that its small gradients can be held."""

    def scaled(*args: PyTree) -> tuple[Array, Array, PyTree]:
        value, weight, model_state = loss_fn(*args)
        return value * scale, weight, model_state

    return scaled


def make_train_step(
    loss_fn: BatchLoss,
    tx: optax.GradientTransformation,
    *,
    axis_name: str | None = None,
    accumulate: int = 1,
) -> Step:
    """Builds `(state, batch) -> (state, metrics)`: one update, with the key of `state.step`.

    Args:
      loss_fn: `(params, model_state, batch, key) -> (value[b], weight[b], model_state)`, as
        `make_loss_fn` makes it.
      tx: the optimiser.
      axis_name: see `make_update`.
      accumulate: see `make_update`.

    Example:
      >>> import jax, jax.numpy as jnp, jrecipe as jr, optax
      >>> apply = lambda params, state, x, *, key=None, train=False: (x @ params, state)
      >>> model = jr.Model(init=lambda key, x: (jnp.zeros((3, 1)), {}), apply=apply)
      >>> loss_fn = jr.train.make_loss_fn(model, jr.losses.l2())
      >>> step = jax.jit(jr.make_train_step(loss_fn, optax.sgd(0.1)))
      >>> batch = jr.Batch(jnp.ones((4, 3)), jnp.ones((4, 1)), jnp.ones(4))
      >>> state = jr.train.create_state(model, optax.sgd(0.1), batch.inputs, jax.random.key(0))
      >>> state, metrics = step(state, batch)
      >>> int(state.step), float(metrics["loss"])
      (1, 1.0)
    """
    update = make_update(loss_fn, tx, axis_name=axis_name, accumulate=accumulate)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        return update(state, batch, jax.random.fold_in(state.key, state.step))

    return step
