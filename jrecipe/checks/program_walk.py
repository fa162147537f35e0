"""A network as a list of steps: its own program with every nested call written out.

What a network multiplies with what, and what lies between, is in its program, whatever framework it
was written in. Calls (`jit`, `custom_jvp`, `remat`) are written out in place; loops and branches
stay one step each, because how often they run is not known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Array

PRODUCTS = ("dot_general", "conv_general_dilated", "ragged_dot")
LOOPS = ("scan", "while", "cond")
_CALLS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
# Their bodies see other shapes than they are given, or run somewhere else.
_CLOSED = (*LOOPS, "shard_map", "pallas_call", "custom_partitioning", "xla_pmap")


@dataclasses.dataclass(frozen=True)
class Step:
    """One operation of a program.

    Attributes:
      equation: the equation of the jaxpr.
      operands: numbers of the values it reads.
      results: numbers of the values it makes.
    """

    equation: Any
    operands: tuple[int, ...]
    results: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the operation, as "dot_general"."""
        return str(self.equation.primitive.name)

    @property
    def params(self) -> Mapping[str, Any]:
        """What the operation was called with besides arrays."""
        found: Mapping[str, Any] = self.equation.params
        return found

    def bind(self, operands: Sequence[Array]) -> list[Array]:
        """Runs the operation; returns its results."""
        primitive = self.equation.primitive
        out = primitive.bind(*operands, **self.equation.params)
        return list(out) if primitive.multiple_results else [out]


@dataclasses.dataclass(frozen=True)
class Program:
    """A function on flat arrays, as steps in the order in which they run.

    Attributes:
      steps: the operations.
      inputs: numbers of the values that are given, in the order of the flattened arguments.
      outputs: numbers of the values that are returned.
      constants: number -> value known beforehand.
      shapes: number -> abstract value, with shape and dtype.
    """

    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    constants: Mapping[int, Any]
    shapes: Mapping[int, Any]

    def run(self, arguments: Sequence[Array], wanted: Iterable[int]) -> dict[int, Array]:
        """Runs the program; returns the values asked for, by number. It can be traced."""
        known: dict[int, Array] = {**self.constants, **_paired(self.inputs, arguments)}
        for step in self.steps:
            known |= _paired(step.results, step.bind([known[i] for i in step.operands]))
        return {i: known[i] for i in wanted}

    def needed(self) -> set[int]:
        """Returns the numbers of the values that the outputs are made of."""
        alive = set(self.outputs)
        for step in reversed(self.steps):
            if alive.intersection(step.results):
                alive.update(step.operands)
        return alive

    def fingerprint(self) -> object:
        """Returns what two programs have in common exactly if they compute the same alike."""
        alive = self.needed()
        order: dict[int, int] = {}
        lines = []

        def name(number: int) -> Any:
            value = self.constants.get(number)
            if value is not None and not jnp.issubdtype(
                self.shapes[number].dtype, jax.dtypes.prng_key
            ):
                return np.asarray(value).tobytes()
            return order.setdefault(number, len(order))

        for number in self.inputs:
            name(number)
        for step in self.steps:
            if alive.intersection(step.results):
                options = sorted((key, str(value)) for key, value in step.params.items())
                operands = [name(i) for i in step.operands]
                lines.append((step.name, operands, [name(i) for i in step.results], options))
        return lines, [name(i) for i in self.outputs]


def trace(function: Callable[..., Any], *arguments: Any) -> Program:
    """Returns the program of a function.

    Args:
      function: pytrees -> pytree, traceable.
      *arguments: pytrees of arrays; their leaves are the program's inputs, in order.

    Raises:
      TypeError: from JAX, if the function cannot be traced.
    """
    return flat(jax.make_jaxpr(function)(*arguments))


def flat(closed: Any) -> Program:
    """Returns a closed jaxpr as a program."""
    writer = _Writer()
    inputs = [writer.new(var.aval) for var in closed.jaxpr.invars]
    outputs = writer.write(closed.jaxpr, closed.consts, inputs)
    return Program(
        tuple(writer.steps), tuple(inputs), tuple(outputs), writer.constants, writer.shapes
    )


class _Writer:
    """Writes the steps of nested jaxprs into one list."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.constants: dict[int, Any] = {}
        self.shapes: dict[int, Any] = {}

    def new(self, aval: Any) -> int:
        self.shapes[len(self.shapes)] = aval
        return len(self.shapes) - 1

    def constant(self, value: Any, aval: Any) -> int:
        number = self.new(aval)
        self.constants[number] = value
        return number

    def write(self, jaxpr: Any, constants: Sequence[Any], inputs: Sequence[int]) -> list[int]:
        """Writes a jaxpr; returns the numbers of its outputs."""
        known: dict[Any, int] = _paired(jaxpr.invars, inputs)
        for var, value in zip(jaxpr.constvars, constants, strict=True):
            known[var] = self.constant(value, var.aval)

        def read(var: Any) -> int:
            return self.constant(var.val, var.aval) if hasattr(var, "val") else known[var]

        for equation in jaxpr.eqns:
            operands = [read(var) for var in equation.invars]
            body = _body(equation)
            if body is not None:
                results = self.write(body[0], body[1], operands)
            else:
                results = [self.new(var.aval) for var in equation.outvars]
                self.steps.append(Step(equation, tuple(operands), tuple(results)))
            known |= _paired(equation.outvars, results)
        return [read(var) for var in jaxpr.outvars]


def _body(equation: Any) -> tuple[Any, Sequence[Any]] | None:
    """Returns `(jaxpr, constants)` of a call that can be written out in place, else None."""
    if equation.primitive.name in _CLOSED:
        return None
    inner = next((equation.params[key] for key in _CALLS if key in equation.params), None)
    if inner is None:
        return None
    jaxpr, constants = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
    shapes = [getattr(var.aval, "shape", None) for var in jaxpr.invars]
    given = [getattr(var.aval, "shape", None) for var in equation.invars]
    alike = shapes == given and len(jaxpr.outvars) == len(equation.outvars)
    return (jaxpr, constants) if alike else None


def _paired(names: Iterable[Any], values: Iterable[Any]) -> dict[Any, Any]:
    return dict(zip(names, values, strict=True))
