"""Where a training program drops values at random, and the same program without.

A mask is what a comparison makes of random bits; where it multiplies data, or selects between data
and a constant, values are dropped, whatever framework wrote it. In place of each such step the
program can be run with what the step gives on average: the network with dropout off, scaled as its
own author scaled it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import jax.numpy as jnp

from jrecipe.checks.program_walk import LOOPS, Program, Step
from jrecipe.types import Array

_RANDOM = ("random_bits", "threefry2x32", "rng_bit_generator", "rng_uniform")
_COMPARES = ("eq", "ne", "lt", "le", "gt", "ge")
# What leaves a mask one: zeros and a constant.
_KEEPS = (
    *("reshape", "transpose", "broadcast_in_dim", "slice", "squeeze", "expand_dims", "copy"),
    *("convert_element_type", "not", "and", "or", "mul", "div", "select_n", "stop_gradient"),
)


@dataclasses.dataclass(frozen=True)
class _Trail:
    """How a value came about.

    Attributes:
      data: it depends on the inputs.
      given: it depends on parameters or state, and not on the inputs.
      draws: random numbers that it was made of; 0 if none.
      mask: it is zeros and one constant, by chance.
      dropped: it depends on data of which some was dropped.
    """

    data: bool = False
    given: bool = False
    draws: int = 0
    mask: bool = False
    dropped: bool = False


@dataclasses.dataclass(frozen=True)
class Drops:
    """The steps of a program that drop data, and what follows.

    Attributes:
      masks: number of the step -> which of its operands is the mask.
      reached: numbers of the values that depend on what is left.
    """

    masks: Mapping[int, int]
    reached: frozenset[int]


def find_drops(program: Program, given: int, rows: int) -> Drops:
    """Finds the steps that drop single values, or channels, of data at random.

    Masks of one draw for an example (stochastic depth) are left out, as are those inside a loop.

    Args:
      program: `(parameters and state, inputs, key) -> anything`, of a network in training mode.
      given: how many arrays parameters and state are; the last argument is the key.
      rows: examples in the batch.
    """
    trails = {number: _Trail(given=True) for number in program.inputs[:given]}
    trails |= {number: _Trail(data=True) for number in program.inputs[given:-1]}
    masks = {}
    for i, step in enumerate(program.steps):
        operands = [trails.get(number, _Trail()) for number in step.operands]
        at = _mask_of(step, operands)
        if at is not None and operands[at].draws > rows:
            masks[i] = at
        trails |= dict.fromkeys(step.results, _after(program, step, operands, i in masks))
    return Drops(masks, frozenset(number for number, trail in trails.items() if trail.dropped))


def run_dropping(
    program: Program, drops: Drops, arguments: Sequence[Array], wanted: Iterable[int], on: Array
) -> dict[int, Array]:
    """Runs a program with its drops or without; returns the values asked for. It can be traced.

    Args:
      program: see `find_drops`.
      drops: of the program.
      arguments: of the program.
      wanted: numbers of values.
      on: bool[], whether to drop.
    """
    known: dict[int, Array] = dict(zip(program.inputs, arguments, strict=True))
    known |= program.constants
    for i, step in enumerate(program.steps):
        operands = [known[number] for number in step.operands]
        results = step.bind(operands)
        if i in drops.masks:
            average = _average(operands, drops.masks[i], step.name)
            results = [jnp.where(on, results[0], average.astype(results[0].dtype))]
        known |= dict(zip(step.results, results, strict=True))
    return {number: known[number] for number in wanted}


def _mask_of(step: Step, operands: Sequence[_Trail]) -> int | None:
    """Returns which operand decides by chance what data goes on, None if none does."""
    masks = [i for i, operand in enumerate(operands) if operand.mask]
    if step.name == "mul" and len(masks) == 1 and any(operand.data for operand in operands):
        return masks[0]
    chosen = step.name == "select_n" and masks == [0] and len(operands) == 3
    return 0 if chosen and sum(operand.data for operand in operands[1:]) == 1 else None


def _after(program: Program, step: Step, operands: Sequence[_Trail], drops: bool) -> _Trail:
    """Returns how the results of a step came about."""
    if any(operand.data for operand in operands):
        return _Trail(data=True, dropped=drops or any(operand.dropped for operand in operands))
    given = any(operand.given for operand in operands)
    if step.name in _RANDOM:
        return _Trail(given=given, draws=math.prod(program.shapes[step.results[0]].shape))
    random = [operand for operand in operands if operand.draws]
    alike = step.name in _KEEPS and all(operand.mask for operand in random) and not given
    return _Trail(
        given=given,
        draws=max((operand.draws for operand in random), default=0),
        mask=bool(random) and step.name not in LOOPS and (step.name in _COMPARES or alike),
    )


def _average(operands: Sequence[Array], at: int, name: str) -> Array:
    """Returns what a step gives on average over its mask."""
    mask = operands[at].astype(jnp.float32)
    if name == "mul":
        return operands[1 - at] * mask.mean()
    share = mask.mean()
    return operands[1] * (1 - share) + operands[2] * share
