"""How a network's call says what it takes, whatever framework it was written in."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jrecipe.types import TaskError

PARTS = ("dropout", "batch_statistics")
# How networks are told to train, as a keyword of their call: name -> value in training.
_MODES = {
    "train": True,
    "training": True,
    "is_training": True,
    "deterministic": False,
    "use_running_average": False,
}


def mode_keywords(call: Callable[..., Any], train: bool) -> dict[str, Any]:
    """Returns the keywords that put a network's `call` into training or evaluation mode."""
    names = inspect.signature(call).parameters
    return {name: value == train for name, value in _MODES.items() if name in names}


def check_parts(parts: tuple[str, ...]) -> frozenset[str]:
    """Returns the names of parts to switch off as a set, or raises TaskError."""
    for part in parts:
        if part not in PARTS:
            raise TaskError(f"Model.without knows no part {part!r}; give one of {PARTS}.")
    return frozenset(parts)


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function, class or partial of these; none where unknown.

    A class with a metaclass, as NNX modules are, shows its parameters in `__init__` only.
    """
    partial = function if isinstance(function, functools.partial) else functools.partial(function)
    if isinstance(partial.func, type):
        init = partial.func.__init__  # type: ignore[misc]  # only its signature is read
        partial = functools.partial(init, None, *partial.args, **partial.keywords)
    try:
        return inspect.signature(partial).parameters
    except ValueError:  # some builtins have none
        return {}
