"""Initialise the final bias so that an untrained network already answers as the best constant (B5).

Which parameter is the final bias is found by what it does, not by its name: moving it by `d` moves
every output by exactly `d`, for every input. That works alike for Linen, NNX and plain functions.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe import losses
from jrecipe.task import Task, head_shape, read
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.train.reference import example_inputs
from jrecipe.types import Array, Key, Model, PyTree, TaskError


def find_head_bias(model: Model, params: PyTree, state: PyTree, inputs: PyTree) -> str | None:
    """Returns the path of the parameter that is added to the outputs, or None.

    Args:
      model: the network; its output must be one array.
      params: its parameters.
      state: its other state.
      inputs: a few inputs.
    """
    outputs = jax.eval_shape(lambda p: model.apply(p, state, inputs)[0], params)
    if not hasattr(outputs, "shape") or not jnp.issubdtype(outputs.dtype, jnp.floating):
        return None
    leaves = jax.tree_util.tree_leaves_with_path(params)
    # One output per example may come from a bias of shape [1] or [] (a squeezed last layer).
    last = outputs.shape[-1:] if len(outputs.shape) > 1 else (1,)
    shapes = [last, ()] if last == (1,) else [last]
    for path, leaf in reversed(leaves):
        if leaf.shape not in shapes or not jnp.issubdtype(leaf.dtype, jnp.floating):
            continue
        direction = np.linspace(1.0, 2.0, leaf.size).astype(leaf.dtype).reshape(leaf.shape)
        name = path_name(path)

        def answer(value: Array, name: str = name) -> Array:
            return model.apply(set_leaf(params, name, value), state, inputs)[0]

        def change(leaf: Array, along: Array, answer: Any = answer) -> Array:
            return jax.jvp(answer, (leaf,), (along,))[1]

        moved = np.asarray(jit_once(change)(leaf, direction))
        want = np.broadcast_to(direction.astype(moved.dtype), moved.shape)
        tolerance = 1e-2 if moved.dtype == jnp.bfloat16 else 1e-5
        if np.allclose(moved.astype(float), want.astype(float), rtol=tolerance):
            return name
    return None


def set_leaf(params: PyTree, name: str, value: Array) -> PyTree:
    """Returns `params` with the leaf called `name` replaced, in its own dtype and shape."""

    def put(path: tuple[object, ...], leaf: jax.Array) -> jax.Array:
        if path_name(path) != name:
            return leaf
        return jnp.asarray(value, leaf.dtype).reshape(leaf.shape)

    return jax.tree_util.tree_map_with_path(put, params)


def init_well(task: Task, limit: int = 50_000) -> Task:
    """Returns the task with its final bias initialised from the training targets (B5).

    The bias becomes the best constant output: log prior for a softmax, logit of the positive rate
    for a sigmoid, mean or median for a regression. With a zero-initialised head the loss at
    initialisation is then exactly that of an uninformed model, and the first part of the learning
    curve, where only the bias is learned, is gone.

    Args:
      task: a task with a model and one of jrecipe's losses.
      limit: training targets that are read, spread evenly.

    Raises:
      TaskError: if the task has a trainer of its own, the loss does not know its best constant
        output, or no parameter acts as a final bias.

    Source: Karpathy, "A Recipe for Training Neural Networks", 2019, "init well".
    """
    model = task.model
    if model is None or task.trainer is not None:
        raise TaskError(
            f"init_well sets Task.model's bias, but task {task.name!r} is trained by Task.trainer; "
            "set the bias in Trainer.init."
        )
    inputs = example_inputs(task)
    params, state = jax.jit(model.init)(jax.random.key(0), inputs)
    name, bias = final_bias(task, params, state, limit)

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        params, state = model.init(key, inputs)
        return set_leaf(params, name, bias), state

    return task.replace(model=dataclasses.replace(model, init=init))


def final_bias(
    task: Task, params: PyTree, state: PyTree, limit: int = 50_000
) -> tuple[str, np.ndarray]:
    """Returns the path of a task's final bias, and the value that makes the best constant output.

    Args:
      task: with a model and one of jrecipe's losses.
      params: parameters of the model.
      state: its other state.
      limit: training targets that are read, spread evenly.

    Raises:
      TaskError: as `init_well` does.
    """
    model, loss = task.model, task.loss
    if not isinstance(loss, losses.Loss):
        raise TaskError(
            f"init_well needs one of jr.losses, which know their best constant; got {loss!r}."
        )
    inputs = example_inputs(task)
    outputs = head_shape(model, inputs)
    if not hasattr(outputs, "shape"):
        raise TaskError("init_well needs a network with one output array, got a pytree of outputs.")
    shape = tuple(outputs.shape[1:])
    name = find_head_bias(model, params, state, inputs)
    if name is None:
        raise TaskError(
            "init_well found no final bias: no parameter moves every output by what is added to "
            "it; give the last layer a bias, or initialise it yourself."
        )
    constant = np.asarray(loss.best_constant(read(task.train, limit)[1], shape), np.float32)
    return name, constant.reshape(-1, *shape[-1:]).mean(axis=0)  # the same at every position
