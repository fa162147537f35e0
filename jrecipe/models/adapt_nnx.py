"""Flax NNX modules as a `Model`: the module is rebuilt from its arrays at every call."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jrecipe.models.signature import check_parts, mode_keywords, parameters_of
from jrecipe.types import Array, Key, Model, PyTree, TaskError


def from_nnx(factory: Callable[..., Any]) -> Model:
    """Returns the modules that a factory makes as a `Model`.

    Args:
      factory: `(rngs) -> nnx.Module`, or with `rngs` as a keyword. It is traced once here and run
        at every `init`; its modules are called with the inputs as their one argument.

    Returns:
      A `Model`: `params` holds the `nnx.Param` variables and `state` all others (BatchNorm
      statistics), both as nested dicts of arrays. Random streams are not state: they restart from
      `key` at every call.

    Raises:
      TaskError: if the factory makes something other than an NNX module.
    """
    keyword = "rngs" in parameters_of(factory)

    def make(rngs: nnx.Rngs) -> nnx.Module:
        module = factory(rngs=rngs) if keyword else factory(rngs)
        if not isinstance(module, nnx.Module):
            name = getattr(factory, "__name__", type(factory).__name__)
            raise TaskError(
                f"model {name} was called with nnx.Rngs and returned a {type(module).__name__}; an "
                "NNX factory returns an nnx.Module. Wrap plain functions in jr.Model(init, apply)."
            )
        return module

    return _model(make, nnx.eval_shape(lambda: make(nnx.Rngs(0))), frozenset())


def _model(
    make: Callable[[nnx.Rngs], nnx.Module], abstract: nnx.Module, parts: frozenset[str]
) -> Model:
    """Returns the model of the modules that `make` makes, all of the structure of `abstract`."""
    call = type(abstract).__call__
    modes = {train: mode_keywords(call, train) for train in (False, True)}
    graph, *shapes = nnx.split(abstract, nnx.Param, nnx.RngState, ...)
    name = type(abstract).__name__

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        del inputs  # NNX modules know their input shapes
        return _arrays(make(nnx.Rngs(key)))

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        if key is None and train and jax.tree.leaves(shapes[1]):
            raise TaskError(f"model {name} draws random numbers in training; give apply a `key`.")
        streams = _streams(jax.random.key(0) if key is None else key, shapes[1])
        module = nnx.merge(graph, _filled(shapes[0], params), streams, _filled(shapes[2], state))
        if train:
            module.train()
        else:
            module.eval()
        _switch_off(module, parts)
        outputs = module(inputs, **modes[train])
        if not train:
            return outputs, state
        return outputs, _like(state, _arrays(module)[1])

    def without(*names: str) -> Model:
        return _model(make, abstract, parts | check_parts(names))

    return Model(init, apply, without, name=name)


def _arrays(module: nnx.Module) -> tuple[PyTree, PyTree]:
    """Returns the parameters and the other state of a module as nested dicts of arrays."""
    _, *parts = nnx.split(module, nnx.Param, nnx.RngState, ...)
    return nnx.to_pure_dict(parts[0]), nnx.to_pure_dict(parts[2])


def _filled(shapes: nnx.State, values: PyTree) -> nnx.State:
    """Returns a copy of an abstract state with arrays in it."""
    state = copy.deepcopy(shapes)
    nnx.replace_by_pure_dict(state, values)
    return state


def _streams(key: Key, shapes: nnx.State) -> nnx.State:
    """Returns the random streams of a module, started anew from `key`, each with its own."""
    leaves, structure = jax.tree.flatten(shapes)

    def start(i: int, leaf: jax.ShapeDtypeStruct) -> Array:
        if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jnp.zeros(leaf.shape, leaf.dtype)
        own = jax.random.fold_in(key, i)
        return jax.random.split(own, leaf.shape) if leaf.shape else own

    return jax.tree.unflatten(structure, [start(i, leaf) for i, leaf in enumerate(leaves)])


def _like(before: PyTree, after: PyTree) -> PyTree:
    """Returns `after` without what was not there `before`, such as sown intermediates."""
    if not isinstance(before, dict):
        return after
    return {name: _like(value, after[name]) for name, value in before.items()}


def _switch_off(module: nnx.Module, parts: frozenset[str]) -> None:
    """Makes dropout and normalisation inside a rebuilt module act as in evaluation.

    A mode given at call time wins over an attribute, so the class of the layer is exchanged.
    """
    if not parts:
        return
    for _, layer in nnx.iter_modules(module):
        if "dropout" in parts and isinstance(layer, nnx.Dropout | nnx.MultiHeadAttention):
            layer.__class__ = _forced(type(layer), "deterministic")
        if "batch_statistics" in parts and isinstance(layer, nnx.BatchNorm):
            layer.__class__ = _forced(type(layer), "use_running_average")


@functools.lru_cache(maxsize=64)
def _forced(layer: type, mode: str) -> type:
    """Returns a subclass of `layer` that is always called with `mode=True`."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(layer.__call__).bind(self, *args, **kwargs)
        bound.arguments[mode] = True
        return layer.__call__(*bound.args, **bound.kwargs)

    return type(layer.__name__, (layer,), {"__call__": call})
