"""The numbers that the first layer multiplies, read out of a network's own program.

A network may rescale its inputs itself (`x / 255`, an input BatchNorm), so what is handed to it
does not tell whether it is on a good scale. So the program of the network is run step by step up to
its first product of inputs and weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import PyTree

_PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot")
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
_LOOPS = ("scan", "while", "cond")


@dataclasses.dataclass(frozen=True)
class Entry:
    """How inputs enter a network.

    Attributes:
      kind: "product" of numbers with weights, "lookup" of ids in a table (an embedding), or
        "unknown" if neither comes before a loop or the end.
      values: the numbers multiplied, as an array; None unless `kind` is "product".
    """

    kind: Literal["product", "lookup", "unknown"]
    values: np.ndarray | None = None


def first_product(function: Callable[[PyTree], PyTree], inputs: PyTree) -> Entry:
    """Returns what a network feeds into its first product of inputs and weights.

    Args:
      function: inputs -> outputs, traceable.
      inputs: a batch.

    Example:
      >>> entry = first_product(lambda x: (x / 255.0) @ jnp.ones((2, 3)), jnp.full((1, 2), 255.0))
      >>> entry.kind, entry.values.tolist()
      ('product', [[1.0, 1.0]])
    """
    closed = jax.make_jaxpr(function)(inputs)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(inputs)]
    result = _walk(closed.jaxpr, closed.consts, leaves, [True] * len(leaves))
    return result if isinstance(result, Entry) else Entry("unknown")


def _walk(
    jaxpr: Any, constants: Sequence[Any], values: Sequence[Any], marks: Sequence[bool]
) -> Entry | list[tuple[Any, bool]]:
    """Evaluates a jaxpr; `marks` says which values come from the inputs, and so do the results."""
    known: dict[Any, tuple[Any, bool]] = {}
    known |= {var: (value, False) for var, value in zip(jaxpr.constvars, constants, strict=True)}
    known |= {
        var: (value, mark) for var, value, mark in zip(jaxpr.invars, values, marks, strict=True)
    }

    def read(var: Any) -> tuple[Any, bool]:
        return (var.val, False) if hasattr(var, "val") else known[var]

    for equation in jaxpr.eqns:
        pairs = [read(var) for var in equation.invars]
        operands = [value for value, _ in pairs]
        marked = [mark for _, mark in pairs]
        name = equation.primitive.name
        if any(marked):
            if name in _PRODUCTS:
                first = next(value for value, mark in pairs if mark)
                return Entry("product", np.asarray(first).astype(np.float32))
            if name == "gather" and marked[1] and not marked[0]:
                return Entry("lookup")
            if name in _LOOPS:
                return Entry("unknown")
        inner = next((equation.params[key] for key in _CALLS if key in equation.params), None)
        if inner is not None and name not in _LOOPS:
            body, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            result = _walk(body, consts, operands, marked)
            if isinstance(result, Entry):
                return result
            outputs = result
        else:
            out = equation.primitive.bind(*operands, **equation.params)
            several = equation.primitive.multiple_results
            outputs = [(value, any(marked)) for value in (out if several else [out])]
        known |= dict(zip(equation.outvars, outputs, strict=True))
    return [read(var) for var in jaxpr.outvars]
