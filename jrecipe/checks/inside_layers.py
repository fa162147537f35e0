"""What comes out of each layer of a network on a batch: histogram, dead and saturated units (D13).

The layers are read from the program of the network (`network_layers`), whatever framework it was
written in: an entry for each activation function of a known kind that stands behind a layer (where
residual branches meet, the last of them), and for each layer without one what it makes, its bias
added. All are measured in one compiled program.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.data_flow import Product, Unit
from jrecipe.checks.network_layers import Layers
from jrecipe.checks.program_walk import Program, Step
from jrecipe.train.compiled import jit_once
from jrecipe.types import Array

BINS = 48
SAMPLED = 2**18  # values of one layer that its histogram counts; all count in everything else
AT_LIMIT = 0.99  # |tanh|; a logistic is as far from its limits at 0.005 and 0.995
NEARLY_ALL = 0.95  # share of the examples for which a saturated unit is at a limit
Kind = Literal["relu", "tanh", "logistic", "silu", "gate", "linear"]
_Entry = tuple[str, Kind, int, bool]  # path, kind, number of the value, whether a layer follows


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerInside:
    """What comes out of one layer.

    Attributes:
      path: parameter of the layer, as "dense0/kernel".
      kind: activation function behind it: "relu", "tanh" or "logistic"; "silu" for x times its
        logistic; "gate" for a tanh or logistic that multiplies something; "linear" for the layer's
        own sum, where none of these follows directly.
      units: size of the last axis, channels of a convolution.
      counts: int[48], values of the batch in each bin, of at most 2^18 values spread evenly.
      edges: float[49], limits of the bins, from the smallest value to the largest.
      mean: of all values; NaN if one is not finite.
      deviation: their standard deviation.
      dead: share of the units of a ReLU that are 0 for every example and position; 0 otherwise.
      saturated: share of the units of a tanh or logistic that are within a hundredth of their range
        of a limit for at least 95 % of examples and positions; 0 otherwise.
      followed: whether another layer reads it; what the last one answers may well saturate.
    """

    path: str
    kind: Kind
    units: int
    counts: np.ndarray
    edges: np.ndarray
    mean: float
    deviation: float
    dead: float
    saturated: float
    followed: bool


def measure_layers(layers: Layers) -> tuple[LayerInside, ...]:
    """Measures what comes out of each layer on the batch of `layers`, in network order.

    Layers inside loops (`scan` of a recurrent network) are left out: they have no single output.

    Source: Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", 2010, section 3, for histograms of activations and saturation layer by layer.
    """
    entries, program = _entries(layers), layers.program
    if not entries:
        return ()

    def measure(arguments: list[Array]) -> list[tuple[Array, ...]]:
        values = program.run(arguments, {value for _, _, value, _ in entries})
        return [_measured(kind, values[value]) for _, kind, value, _ in entries]

    measured = jax.device_get(jit_once(measure)(layers.arguments))
    return tuple(
        _layer(entry, program.shapes[entry[2]].shape, numbers)
        for entry, numbers in zip(entries, measured, strict=True)
    )


def _layer(entry: _Entry, shape: tuple[int, ...], numbers: tuple[np.ndarray, ...]) -> LayerInside:
    path, kind, _, followed = entry
    counts, low, high, mean, deviation, dead, saturated = numbers
    return LayerInside(
        path=path,
        kind=kind,
        units=shape[-1] if len(shape) > 1 else 1,
        counts=counts.astype(np.int64),
        edges=np.linspace(float(low), float(high), BINS + 1),
        mean=float(mean),
        deviation=float(deviation),
        dead=float(dead),
        saturated=float(saturated),
        followed=followed,
    )


def _entries(layers: Layers) -> list[_Entry]:
    """Returns (path, kind, number of the value, whether a layer follows), in network order."""
    program, flow = layers.program, layers.flow
    readers = _readers(program)
    moving = _moving(program, layers)
    followed = frozenset().union(*(product.given.near for product in flow.products))
    found: list[_Entry] = []
    shown = set()
    for unit in flow.units:
        last = max(unit.after)
        if not (unit.directly or _is_alike(program, unit, flow.products[last])):
            continue
        kind, value = _used(program, readers, moving, unit)
        shown.add(last)
        found.append((flow.products[last].path, kind, value, bool(unit.after & followed)))
    for i, product in enumerate(flow.products):
        if i not in shown and product.value_out >= 0:
            value = _with_bias(readers, moving, product.value_out)
            found.append((product.path, "linear", value, i in followed))
    return sorted(found, key=lambda entry: entry[2])


def _is_alike(program: Program, unit: Unit, product: Product) -> bool:
    """Whether a ReLU has the layer's units; one that keeps variances of a norm above 0 has not."""
    shapes = program.shapes
    made = shapes[product.value_out].shape if product.value_out >= 0 else (0,)
    found = shapes[unit.value].shape
    return (len(found), found[-1:]) == (len(made), made[-1:])


def _used(
    program: Program, readers: dict[int, list[Step]], moving: set[int], unit: Unit
) -> tuple[Kind, int]:
    """Tells how an activation is used: by itself, or as the factor of something that moves."""
    if unit.kind != "relu":
        source = next(step for step in program.steps if unit.value in step.results)
        for step in readers.get(unit.value, []):
            others = [i for i in step.operands if i != unit.value and i in moving]
            if step.name == "mul" and others:
                own = others[0] in source.operands
                return ("silu" if own else "gate"), step.results[0] if own else unit.value
    return unit.kind, unit.value


def _with_bias(readers: dict[int, list[Step]], moving: set[int], value: int) -> int:
    """Returns the number of a layer's sum after its bias, if one is added next."""
    while len(steps := readers.get(value, [])) == 1:
        step = steps[0]
        alone = sum(i in moving for i in step.operands) == 1
        if not (step.name == "convert_element_type" or (step.name in ("add", "sub") and alone)):
            break
        value = step.results[0]
    return value


def _readers(program: Program) -> dict[int, list[Step]]:
    readers: dict[int, list[Step]] = {}
    for step in program.steps:
        for i in set(step.operands):
            readers.setdefault(i, []).append(step)
    return readers


def _moving(program: Program, layers: Layers) -> set[int]:
    """Returns the numbers of the values that the network's products go into."""
    moving = {product.value_out for product in layers.flow.products}
    for step in program.steps:
        if moving.intersection(step.operands):
            moving.update(step.results)
    return moving


def _measured(kind: Kind, x: Array) -> tuple[Array, ...]:
    x = x.astype(jnp.float32)
    x = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x.reshape(-1, 1)
    none = jnp.zeros((), jnp.float32)
    dead = (x == 0).all(axis=0).mean() if kind == "relu" else none
    saturated = none
    if kind in ("tanh", "logistic"):
        far = jnp.abs(x) if kind == "tanh" else jnp.abs(2 * x - 1)
        saturated = ((far > AT_LIMIT).mean(axis=0) >= NEARLY_ALL).mean()
    return *_histogram(x), x.mean(), x.std(), dead, saturated


def _histogram(x: Array) -> tuple[Array, Array, Array]:
    """Returns counts and range of what is finite in a sample of `x` [rows, units]."""
    stride = max(1, x.size // SAMPLED)
    while math.gcd(stride, x.shape[1]) > 1:  # else some units would never be seen
        stride += 1
    sample, finite = x.reshape(-1)[::stride], jnp.isfinite(x)
    low = jnp.where(finite.any(), jnp.where(finite, x, jnp.inf).min(), 0.0)
    high = jnp.where(finite.any(), jnp.where(finite, x, -jnp.inf).max(), 0.0)
    equal = high - low <= 1e-6 * jnp.maximum(jnp.abs(low), 1e-6)  # one value has a bin of width 1
    low, high = jnp.where(equal, low - 0.5, low), jnp.where(equal, high + 0.5, high)
    place = jnp.floor((sample - low) / (high - low) * BINS)
    place = jnp.where(jnp.isfinite(sample), jnp.clip(place, 0, BINS - 1), BINS)
    counts = jnp.zeros(BINS + 1, jnp.int32).at[place.astype(jnp.int32)].add(1)
    return counts[:BINS], low, high
