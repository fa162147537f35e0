"""Turns what users write networks in - Linen, NNX, plain functions - into one `Model`.

Nothing else in jrecipe knows what framework a network was written in. Flax is imported only when
one of its modules is at hand.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from jrecipe.models.signature import parameters_of
from jrecipe.types import Model, TaskError

_OPTIONS = (
    "give a Linen module as jr.models.MLP(10), an NNX factory as lambda rngs: Net(rngs), or "
    "jr.Model(init, apply)"
)


def as_model(thing: Any) -> Model:
    """Returns `thing` as a `Model`.

    Args:
      thing: a Linen module (an instance), an NNX factory `lambda rngs: Net(rngs)`, or a `Model`,
        which is returned as it is. A network is told to train through whichever of `train`,
        `training`, `is_training`, `deterministic` and `use_running_average` its call takes; inputs
        are passed as one argument, be they an array or a pytree.

    Returns:
      A `Model`. In training, randomness is drawn from `key`. In evaluation a healthy network draws
      none; one that does is given `key` too (a fixed one without), so that two keys tell on it.

    Raises:
      TaskError: for anything else, with what was got and what to give. Exceptions from inside the
        user's network are passed on untouched.
    """
    if isinstance(thing, Model):
        return thing
    linen = sys.modules.get("flax.linen")
    if linen is not None and isinstance(thing, linen.Module):
        from jrecipe.models.adapt_linen import from_linen

        return from_linen(thing)
    if linen is not None and isinstance(thing, type) and issubclass(thing, linen.Module):
        raise TaskError(
            f"model needs a Linen module, got its class {thing.__name__}; make one, as "
            f"{thing.__name__}()."
        )
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(thing, nnx.Module):
        name = type(thing).__name__
        raise TaskError(
            f"model got an NNX module {name}, whose weights are made already; give a factory "
            f"instead, as lambda rngs: {name}(..., rngs=rngs)."
        )
    if isinstance(thing, tuple | list):
        got = f"a {type(thing).__name__} of {len(thing)}"
        way_out = "wrap two functions in jr.Model(init, apply)" if len(thing) == 2 else _OPTIONS
        raise TaskError(f"model needs a network, got {got}; {way_out}.")
    if callable(thing) and _takes_rngs(thing):
        from jrecipe.models.adapt_nnx import from_nnx

        return from_nnx(thing)
    raise TaskError(f"model needs a network, got {_describe(thing)}; {_OPTIONS}.")


def _takes_rngs(function: Callable[..., Any]) -> bool:
    """Whether a function can be called as an NNX factory: one argument, or one called `rngs`."""
    parameters = parameters_of(function)
    required = [
        p
        for p in parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if "rngs" in parameters:
        return all(p.name == "rngs" for p in required)
    return len(required) == 1 and required[0].kind is not inspect.Parameter.KEYWORD_ONLY


def _describe(thing: Any) -> str:
    """Returns a short text about any object, for an error message."""
    if inspect.isfunction(thing):
        return f"the function {thing.__name__}{inspect.signature(thing)}"
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    text = repr(thing)
    return f"{type(thing).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
