"""The numbers that the first layer multiplies, read out of a network's own program.

A network may rescale its inputs itself (`x / 255`, an input BatchNorm), so what is handed to it
does not tell whether it is on a good scale. So the program of the network is run step by step up to
its first product of inputs and weights.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.program_walk import LOOPS, PRODUCTS, trace
from jrecipe.types import PyTree


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
    program = trace(function, inputs)
    known: dict[int, Any] = dict(program.constants)
    leaves = map(jnp.asarray, jax.tree.leaves(inputs))
    known |= dict(zip(program.inputs, leaves, strict=True))
    marked = set(program.inputs)  # what is made of the inputs
    for step in program.steps:
        from_inputs = [i for i in step.operands if i in marked]
        if from_inputs:
            if step.name in PRODUCTS:
                return Entry("product", np.asarray(known[from_inputs[0]]).astype(np.float32))
            if step.name == "gather" and step.operands[0] not in marked:
                return Entry("lookup")
            if step.name in LOOPS:
                return Entry("unknown")
            marked.update(step.results)
        results = step.bind([known[i] for i in step.operands])
        known |= dict(zip(step.results, results, strict=True))
    return Entry("unknown")
