"""The layers of the network under examination, and what enters and leaves each."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.checks.controls import simplified
from jrecipe.checks.data_flow import DataFlow, follow
from jrecipe.checks.probing import traceable
from jrecipe.checks.program_walk import Program, trace
from jrecipe.train.compiled import jit_once
from jrecipe.train.frozen import path_name
from jrecipe.types import Array, Model, PyTree

ROWS = 256


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What a batch does in each layer; one number for each product, or unit, of the network.

    Attributes:
      entering: float[products], root mean square of what is multiplied; NaN inside a loop.
      leaving: float[products], the same of the result, before a bias.
      nonzero: float[products], share of what is multiplied that is not exactly 0.
      picked: bool[products], whether what is multiplied picks rows, as one-hot inputs do.
      off: float[units], share of units that pass no gradient for any row of the batch.
      width: int[units], how many units there are.
      limit: float[units], share of values within a hundredth of a limit (0 for ReLUs).
    """

    entering: np.ndarray
    leaving: np.ndarray
    nonzero: np.ndarray
    picked: np.ndarray
    off: np.ndarray
    width: np.ndarray
    limit: np.ndarray


class Layers:
    """The layers of a network.

    Attributes:
      program: the network in evaluation mode, as steps.
      flow: its layers and what lies between.
      arguments: the arrays that the program takes, those of the fresh weights.
    """

    def __init__(self, program: Program, flow: DataFlow, arguments: list[Array]) -> None:
        self.program, self.flow, self.arguments = program, flow, arguments

    @functools.cached_property
    def _measure(self) -> Any:
        products, units = self.flow.products, self.flow.units
        inside = [product for product in products if product.value_in >= 0]
        wanted = {unit.value for unit in units}
        for product in inside:
            wanted |= {product.value_in, product.value_out}

        def measure(arguments: list[Array]) -> PyTree:
            values = self.program.run(arguments, wanted)
            return (
                [_size(values[product.value_in]) for product in inside],
                [_size(values[product.value_out]) for product in inside],
                [(values[product.value_in] != 0).mean() for product in inside],
                [_picks(values[product.value_in]) for product in inside],
                [_off(unit.kind, values[unit.value]) for unit in units],
                [values[unit.value].shape[-1] for unit in units],
                [_limit(unit.kind, values[unit.value]) for unit in units],
            )

        return jit_once(measure)

    def sizes(self, variables: tuple[PyTree, PyTree] | None = None) -> Sizes:
        """Runs the network on its batch and measures every layer.

        Args:
          variables: `(params, state)` to use in place of the fresh ones; not for a foreign trainer.
        """
        arguments = self.arguments
        if variables is not None:
            given = jax.tree.leaves(variables)
            arguments = [*given, *arguments[len(given) :]]
        entering, leaving, nonzero, picked, off, width, limit = (
            np.array([float(x) for x in column]) for column in self._measure(arguments)
        )
        inside = [i for i, product in enumerate(self.flow.products) if product.value_in >= 0]

        def spread(values: np.ndarray) -> np.ndarray:
            found = np.full(len(self.flow.products), np.nan)
            found[inside] = values
            return found

        return Sizes(
            entering=spread(entering),
            leaving=spread(leaving),
            nonzero=spread(nonzero),
            picked=spread(picked) == 1.0,
            off=off,
            width=width.astype(int),
            limit=limit,
        )


def layers_of(context: Context) -> Layers | None:
    """Returns the layers of the network; None where a foreign trainer's code cannot be traced."""
    return context.once("network-layers", lambda: _layers(context))


def fresh_sizes(context: Context) -> Sizes | None:
    """Returns the sizes in the layers before training; None where there are no layers."""

    def measure() -> Sizes | None:
        layers = layers_of(context)
        return None if layers is None else layers.sizes()

    return context.once("network-sizes", measure)


def starting_layers(context: Context) -> tuple[DataFlow, Sizes] | None:
    """Returns the layers as training meets them first, and their sizes; None if there are none.

    Normalisation has no statistics yet but those of the batch, so a network with a state is looked
    at in training mode, dropout out.
    """
    layers, sizes = layers_of(context), fresh_sizes(context)
    if layers is None or sizes is None:
        return None
    model = simplified(context.task).model
    if context.foreign or model is None or not jax.tree.leaves(context.variables()[1]):
        return layers.flow, sizes
    training = training_layers(context, model)
    return training.flow, training.sizes()


def frozen_paths(context: Context) -> frozenset[str]:
    """Returns the paths of the parameters that the task declares frozen."""
    if not context.task.frozen:
        return frozenset()
    if context.model is not None and not context.foreign:
        params = context.variables()[0]
    else:
        params = context.trainer.params(context.fresh_state())
    names = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    patterns = context.task.frozen
    return frozenset(
        name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )


def training_layers(
    context: Context, model: Model, variables: tuple[PyTree, PyTree] | None = None
) -> Layers:
    """Returns the layers of a model in training mode.

    Args:
      context: gives batch and key.
      model: the task's model, or the same with parts switched off.
      variables: `(params, state)`, those of the task at the start by default.
    """
    params, state = context.variables() if variables is None else variables
    inputs = _rows(context)
    program = trace(
        lambda p, s, x: model.apply(p, s, x, key=context.key, train=True)[0], params, state, inputs
    )
    flow = follow(program, *arguments_of(program, params, state))
    return Layers(program, flow, jax.tree.leaves((params, state, inputs)))


def training_flow(context: Context) -> DataFlow | None:
    """Returns the layers in training mode, with stored statistics; None where that cannot be.

    A network of plain functions cannot be told to use stored statistics: it is None if it has any.
    """
    model = context.model
    if model is None or context.foreign:
        return None
    if model.without is not None:
        model = model.without("batch_statistics")
    elif jax.tree.leaves(context.variables()[1]):
        return None
    return training_layers(context, model).flow


def _rows(context: Context) -> PyTree:
    inputs = context.split("train", 512)[0]  # type: ignore[index]
    return jax.tree.map(lambda x: jnp.asarray(x[:ROWS]), inputs)


def arguments_of(
    program: Program, params: PyTree, state: PyTree
) -> tuple[dict[int, str], list[int]]:
    """Returns the names of the parameters' values and the numbers of the inputs' values.

    Args:
      program: of `(params, state, inputs)`.
      params: parameters of the model.
      state: its other state.
    """
    paths = [path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    names = dict(zip(program.inputs, paths, strict=False))
    return names, list(program.inputs[len(paths) + len(jax.tree.leaves(state)) :])


def model_layers(model: Model, params: PyTree, state: PyTree, inputs: PyTree) -> Layers:
    """Returns the layers of a model in evaluation mode.

    Args:
      model: the network, from whatever framework.
      params: its parameters.
      state: its other state.
      inputs: a batch.
    """
    program = trace(lambda p, s, x: model.apply(p, s, x)[0], params, state, inputs)
    flow = follow(program, *arguments_of(program, params, state))
    return Layers(program, flow, jax.tree.leaves((params, state, inputs)))


def predictor_layers(
    predict: Callable[[PyTree], PyTree], params: PyTree, inputs: PyTree
) -> Layers | None:
    """Returns the layers of a foreign trainer's network; None if its code cannot be traced.

    Args:
      predict: inputs -> outputs.
      params: its parameters, recognised among the constants of the program.
      inputs: a batch.
    """
    if not traceable(predict, inputs):
        return None
    program = trace(predict, inputs)
    flow = follow(program, _recognised(program, params), program.inputs)
    return Layers(program, flow, jax.tree.leaves(inputs))


def _layers(context: Context) -> Layers | None:
    inputs = _rows(context)
    if context.model is not None and not context.foreign:
        return model_layers(context.model, *context.variables(), inputs)
    fresh = context.fresh_state()
    return predictor_layers(
        lambda x: context.predict(fresh, x), context.trainer.params(fresh), inputs
    )


def _recognised(program: Program, params: PyTree) -> dict[int, str]:
    """Finds the parameters of a foreign trainer among the constants of its program."""
    known = [
        (path_name(path), np.asarray(leaf))
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        if np.size(leaf) > 1
    ]
    names = {}
    for number, value in program.constants.items():
        if getattr(program.shapes[number], "size", 1) <= 1 or not hasattr(value, "dtype"):
            continue
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            continue
        array = np.asarray(value)
        for name, leaf in known:
            if leaf.shape == array.shape and np.array_equal(leaf, array):
                names[number] = name
                break
    return names


def _size(x: Array) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(x.astype(jnp.float32))))


def _picks(x: Array) -> Array:
    """Returns whether all values are 0 or 1 and each row has the same number of ones."""
    ones = x.astype(jnp.float32).sum(axis=-1)
    binary = ((x == 0) | (x == 1)).all()
    return (binary & (ones.min() == ones.max())).astype(jnp.float32)


def _off(kind: str, x: Array) -> Array:
    """Returns the share of units whose derivative is 0 for every row."""
    x = x.astype(jnp.float32)
    flat = {"relu": x <= 0, "tanh": jnp.abs(x) == 1, "logistic": (x == 0) | (x == 1)}[kind]
    return flat.reshape(-1, x.shape[-1]).all(axis=0).mean() if x.ndim > 1 else flat.mean()


def _limit(kind: str, x: Array) -> Array:
    if kind == "relu":
        return jnp.zeros(())
    x = x.astype(jnp.float32)
    return ((jnp.abs(x) > 0.99) if kind == "tanh" else (jnp.abs(x - 0.5) > 0.49)).mean()
