"""What lies between the layers of a network, read from its program without running it.

Every value of the program is followed: whether it depends on the inputs, of which parameters it is
made, and of which products with parameters it is an affine function. Two layers with nothing but
affine operations between them could be one: the first is read by the second alone, and so the two
matrices can be multiplied beforehand.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import jax.numpy as jnp

from jrecipe.checks.program_walk import LOOPS, PRODUCTS, Program, Step, flat

_SUMS = ("reduce_sum", "cumsum", "reduce_window_sum")
_SHAPES = (
    *("reshape", "transpose", "broadcast_in_dim", "slice", "squeeze", "expand_dims", "rev"),
    *("copy", "copy_p", "neg", "convert_element_type", "reduce_precision", "stop_gradient"),
    *("optimization_barrier", "name", "real", "imag", "fft", "split", "sharding_constraint"),
    "device_put",
)
_ADDS = ("add", "sub", "add_any", "concatenate", "pad", "dynamic_update_slice", "scatter-add")
_COMPARES = ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "is_finite", "sign")
Activation = Literal["relu", "tanh", "logistic"]


@dataclasses.dataclass(frozen=True)
class Flow:
    """How one value of a program came about.

    Attributes:
      data: it depends on the inputs.
      leaves: parameters that it is made of, if it does not depend on the inputs.
      affine: products of which it is an affine function (none: of the inputs); None if something
        that is not affine lies between.
      near: the products met first on the way back, through anything.
      indicator: zeros and ones that say whether something holds.
      attended: an affine function of a product of two values that depend on the inputs.
      pooled: summed over an axis since the last product.
    """

    data: bool = False
    leaves: frozenset[str] = frozenset()
    affine: frozenset[int] | None = None
    near: frozenset[int] = frozenset()
    indicator: bool = False
    attended: bool = False
    pooled: bool = False


@dataclasses.dataclass(frozen=True)
class Product:
    """A product of something that depends on the inputs with a parameter.

    Attributes:
      path: the parameter; of several that the matrix is made of, the first.
      leaves: all of them.
      width_in: numbers that each sum runs over (channels, for a convolution).
      width_out: units (channels).
      kind: name of the operation.
      groups: groups of a convolution.
      given: how what it multiplies came about.
      value_in: number of that value, -1 inside a loop.
      value_out: number of the result, -1 inside a loop.
    """

    path: str
    leaves: frozenset[str]
    width_in: int
    width_out: int
    kind: str
    groups: int
    given: Flow
    value_in: int = -1
    value_out: int = -1


@dataclasses.dataclass(frozen=True)
class Unit:
    """An activation function behind a product.

    Attributes:
      kind: which.
      after: numbers of the products.
      value: number of the result.
      directly: whether only affine operations lie between; others are noted for ReLUs only.
    """

    kind: Activation
    after: frozenset[int]
    value: int
    directly: bool = True


@dataclasses.dataclass(frozen=True)
class DataFlow:
    """The layers of a network and what lies between.

    Attributes:
      products: all products of data with parameters, in the order of the program.
      units: activation functions behind them, those inside loops left out.
      read_elsewhere: products whose result something that is not affine reads, or the outputs.
      attending: products whose result is multiplied with data as in attention.
      tables: paths of parameters in which something is looked up (embeddings).
    """

    products: tuple[Product, ...]
    units: tuple[Unit, ...]
    read_elsewhere: frozenset[int]
    attending: frozenset[int]
    tables: frozenset[str] = frozenset()


def follow(program: Program, names: Mapping[int, str], data: Sequence[int]) -> DataFlow:
    """Follows every value of a program.

    Args:
      program: of the network.
      names: number of a value -> path of the parameter that it is.
      data: numbers of the values that are inputs.
    """
    follower = _Follower()
    start = {i: Flow(leaves=frozenset([name])) for i, name in names.items()}
    start |= {i: Flow(data=True, affine=frozenset()) for i in data}
    follower.walk(program, start, top=True)
    return DataFlow(
        tuple(follower.products),
        tuple(follower.units),
        frozenset(follower.read_elsewhere),
        frozenset(follower.attending),
        frozenset(follower.tables),
    )


def collapsible(flow: DataFlow, frozen: frozenset[str] = frozenset()) -> list[tuple[int, int]]:
    """Returns pairs of products that could be one: nothing between them but affine operations.

    Honest ones are left out: a first layer that something else reads too (a residual stream), a
    narrow one (a bottleneck, low rank), convolutions by group (depthwise-separable), tied
    matrices, what attention multiplies or has multiplied, frozen parameters, a sum over a set.

    Args:
      flow: the network.
      frozen: paths that training does not move.
    """
    found = []
    for j, second in enumerate(flow.products):
        given = second.given
        if given.affine is None or j in flow.attending or second.groups > 1:
            continue
        for i in sorted(given.affine - flow.read_elsewhere):
            first = flow.products[i]
            narrow = first.width_out < min(first.width_in, second.width_out)
            summed = given.pooled and first.kind != "conv_general_dilated"
            known = first.groups > 1 or first.given.attended or bool(first.leaves & frozen)
            tied = first.leaves & second.leaves or second.leaves & flow.tables
            if not (narrow or summed or known or tied):
                found.append((i, j))
    return found


class _Follower:
    def __init__(self) -> None:
        self.products: list[Product] = []
        self.units: list[Unit] = []
        self.read_elsewhere: set[int] = set()
        self.attending: set[int] = set()
        self.tables: set[str] = set()

    def walk(self, program: Program, start: Mapping[int, Flow], top: bool) -> list[Flow]:
        """Follows the values of a program, or of the body of a loop; returns its outputs'."""
        flows = dict(start)
        for step in program.steps:
            operands = [flows.get(i, Flow()) for i in step.operands]
            if not any(operand.data for operand in operands):
                leaves = frozenset().union(*(operand.leaves for operand in operands))
                results = [Flow(leaves=leaves)] * len(step.results)
            elif step.name in LOOPS:
                results = self._loop(step, operands)
            else:
                results = [self._data(program, step, operands, top)] * len(step.results)
            flows |= dict(zip(step.results, results, strict=True))
        ends = [flows.get(i, Flow()) for i in program.outputs]
        self._read(ends)
        return ends

    def _read(self, flows: Sequence[Flow]) -> None:
        """Notes that something that is not affine reads these values."""
        for flow in flows:
            self.read_elsewhere |= flow.affine or frozenset()

    def _data(self, program: Program, step: Step, operands: Sequence[Flow], top: bool) -> Flow:
        """Returns the flow of a result that depends on the inputs."""
        moving = [operand for operand in operands if operand.data]
        if step.name in PRODUCTS and len(moving) == 1:
            return self._product(program, step, operands, top)
        near = frozenset().union(*(operand.near for operand in moving))
        if _is_affine(step, operands) and all(operand.affine is not None for operand in moving):
            return Flow(
                data=True,
                affine=frozenset().union(*(operand.affine or () for operand in moving)),
                near=near,
                indicator=step.name in _SHAPES and moving[0].indicator,
                attended=any(operand.attended for operand in moving),
                pooled=step.name in _SUMS or any(operand.pooled for operand in moving),
            )
        self._read(moving)
        if step.name in PRODUCTS:
            for operand in moving:
                self.attending |= operand.affine or frozenset()
            # What follows is a layer's own product with what was attended to.
            return Flow(data=True, near=near, attended=True)
        if step.name == "gather" and not operands[0].data:
            self.tables |= operands[0].leaves
            return Flow(data=True, affine=frozenset())  # a table, looked up
        kind = _activation(program, step, operands)
        if top and kind is not None and moving[0].affine:
            self.units.append(Unit(kind, moving[0].affine, step.results[0]))
        elif top and kind == "relu" and moving[0].affine is None and near:
            self.units.append(Unit(kind, near, step.results[0], directly=False))
        kept = step.name in _SHAPES or (step.name in (*_ADDS, "mul", "div") and len(moving) == 1)
        return Flow(
            data=True,
            near=near,
            indicator=step.name in _COMPARES or (kept and moving[0].indicator),
            attended=kept and moving[0].attended,
        )

    def _product(self, program: Program, step: Step, operands: Sequence[Flow], top: bool) -> Flow:
        side = 0 if operands[0].data else 1
        given, matrix = operands[side], operands[1 - side]
        if not matrix.leaves:  # a fixed matrix: no layer, but affine
            return dataclasses.replace(given, indicator=False)
        if given.indicator:  # one row of a table, picked by a product
            return Flow(data=True, affine=frozenset())
        width_in, width_out = _widths(step, program.shapes[step.operands[1 - side]].shape, 1 - side)
        self.products.append(
            Product(
                path=_main(matrix.leaves),
                leaves=matrix.leaves,
                width_in=width_in,
                width_out=width_out,
                kind=step.name,
                groups=int(step.params.get("feature_group_count", 1)),
                given=given,
                value_in=step.operands[side] if top else -1,
                value_out=step.results[0] if top else -1,
            )
        )
        own = frozenset([len(self.products) - 1])
        return Flow(data=True, affine=own, near=own)

    def _loop(self, step: Step, operands: Sequence[Flow]) -> list[Flow]:
        """Follows the body of a loop; what it reads and returns counts as not affine."""
        self._read(operands)
        opened = [
            Flow(data=True, near=operand.near) if operand.data else operand for operand in operands
        ]
        if step.name == "scan":
            body, consts = flat(step.params["jaxpr"]), step.params["num_consts"]
            carried = range(consts, consts + step.params["num_carry"])
            opened = [Flow(data=True) if i in carried else flow for i, flow in enumerate(opened)]
            self.walk(body, dict(zip(body.inputs, opened, strict=True)), top=False)
        if step.name == "cond":
            for branch in step.params["branches"]:
                body = flat(branch)
                self.walk(body, dict(zip(body.inputs, opened[1:], strict=True)), top=False)
        near = frozenset().union(*(operand.near for operand in operands))
        return [Flow(data=True, near=near)] * len(step.results)


def _is_affine(step: Step, operands: Sequence[Flow]) -> bool:
    """Tells whether an operation is affine in those operands that depend on the inputs."""
    name, moving = step.name, [operand.data for operand in operands]
    if name == "convert_element_type":
        return bool(jnp.issubdtype(step.params["new_dtype"], jnp.inexact))
    if name in _SHAPES or name in _SUMS:
        return True
    if name in _ADDS:
        return not any(moving[2:]) if name == "dynamic_update_slice" else True
    if name == "mul" or name in PRODUCTS:
        return sum(moving) == 1
    if name in ("div", "gather", "dynamic_slice"):
        return not any(moving[1:])
    if name == "select_n":
        return not moving[0]
    return name == "integer_pow" and step.params.get("y") == 1


def _activation(program: Program, step: Step, operands: Sequence[Flow]) -> Activation | None:
    if step.name == "tanh":
        return "tanh"
    if step.name == "logistic":
        return "logistic"
    if step.name == "max" and sum(operand.data for operand in operands) == 1:
        other = step.operands[0] if operands[1].data else step.operands[1]
        value = program.constants.get(other)
        if value is not None and getattr(value, "size", 1) == 1 and float(value) == 0.0:
            return "relu"
    return None


def _widths(step: Step, shape: Sequence[int], side: int) -> tuple[int, int]:
    """Returns how many numbers each sum runs over, and how many units there are."""
    if step.name == "conv_general_dilated":
        spec = step.params["dimension_numbers"].rhs_spec
        return int(shape[spec[1]]), int(shape[spec[0]])
    if step.name != "dot_general":
        return int(shape[-2]), int(shape[-1])
    contracted, together = step.params["dimension_numbers"]
    summed = math.prod(shape[i] for i in contracted[side])
    free = math.prod(
        size for i, size in enumerate(shape) if i not in (*contracted[side], *together[side])
    )
    return summed, free


def _main(leaves: frozenset[str]) -> str:
    """Returns the parameter that a matrix made of several is named by."""
    named = sorted(leaves, key=lambda path: (not path.endswith(("kernel", "w", "weight")), path))
    return named[0]
