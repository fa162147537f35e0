"""Flax Linen modules as a `Model`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from jrecipe.models.signature import check_parts, mode_keywords
from jrecipe.types import Key, Model, PyTree

# Random streams that networks ask for by name; any other name is served from "params".
_STREAMS = ("params", "dropout")


def from_linen(module: nn.Module, parts: frozenset[str] = frozenset()) -> Model:
    """Returns a Linen module as a `Model`.

    Args:
      module: `__call__` takes the inputs as its one argument.
      parts: what is switched off, see `Model.without`.

    Returns:
      A `Model`; its `state` holds every collection but "params", and changes only with `train`.
    """
    call = type(module).__call__
    modes = {train: mode_keywords(call, train) for train in (False, True)}

    def init(key: Key, inputs: PyTree) -> tuple[PyTree, PyTree]:
        state = dict(module.init(_streams(key), inputs, **modes[False]))
        params = state.pop("params", {})
        return params, state

    def apply(
        params: PyTree,
        state: PyTree,
        inputs: PyTree,
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[PyTree, PyTree]:
        variables = {"params": params, **state}
        with nn.intercept_methods(_switch_off(parts)) if parts else contextlib.nullcontext():
            if not train:
                rngs = _streams(jax.random.key(0) if key is None else key)
                return module.apply(variables, inputs, rngs=rngs, **modes[False]), state
            outputs, changed = module.apply(
                variables,
                inputs,
                rngs={} if key is None else _streams(key),
                mutable=list(state),
                **modes[True],
            )
        return outputs, {**state, **changed}

    def without(*names: str) -> Model:
        return from_linen(module, parts | check_parts(names))

    return Model(init, apply, without, name=module.name or type(module).__name__)


def _streams(key: Key) -> dict[str, Key]:
    """Returns a key for each random stream."""
    return {name: jax.random.fold_in(key, i) for i, name in enumerate(_STREAMS)}


def _switch_off(parts: frozenset[str]) -> Callable[..., Any]:
    """Returns a Linen interceptor that calls dropout and normalisation as in evaluation."""
    dropout, statistics = "dropout" in parts, "batch_statistics" in parts

    def intercept(
        next_function: Callable[..., Any],
        args: Any,
        kwargs: Any,
        context: nn.module.InterceptorContext,
    ) -> Any:
        module = context.module
        if context.method_name != "__call__":
            return next_function(*args, **kwargs)
        if dropout and isinstance(module, nn.Dropout):
            return args[0] if args else kwargs["inputs"]
        if dropout and isinstance(module, nn.MultiHeadDotProductAttention):
            kwargs = {k: v for k, v in kwargs.items() if k != "deterministic"}
            with _set(module, "deterministic", True):
                return next_function(*args, **kwargs)
        if statistics and isinstance(module, nn.BatchNorm):
            kwargs = {k: v for k, v in kwargs.items() if k != "use_running_average"}
            with _set(module, "use_running_average", True):
                return next_function(*args[:1], **kwargs)
        return next_function(*args, **kwargs)

    return intercept


@contextlib.contextmanager
def _set(module: nn.Module, name: str, value: bool) -> Any:
    """Sets a field for the length of a call: Linen wants a mode as a field or as an argument.

    The module is the copy that `apply` bound for this one call, never the user's own.
    """
    before = getattr(module, name)
    object.__setattr__(module, name, value)
    try:
        yield
    finally:
        object.__setattr__(module, name, before)
