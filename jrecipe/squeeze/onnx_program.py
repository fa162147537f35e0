"""A network's program in the operations that jax2onnx writes well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal

from jrecipe.types import Array

_CALLS = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call", "checkpoint", "closed_call")
_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")


def plain_program(function: Callable[..., list[Array]], *structs: Any) -> Callable[..., Any]:
    """Returns a function traced once, with its calls written out and its pooling by flax.

    While jax2onnx traces, functions of its own stand in the place of flax's, which take other
    arguments than those: `nn.max_pool` with its window by position fails (0.17.1). So the network
    is traced before. Max-pooling is then a window over batch and channels too, which onnxruntime
    refuses; it is given back to flax, for which jax2onnx knows ONNX's own MaxPool.

    Args:
      function: of arrays.
      *structs: their shapes and dtypes; the sizes may be symbols of `jax.export`.
    """
    closed = jax.make_jaxpr(function)(*structs)

    def run(*arrays: Array) -> list[Array]:
        return _evaluate(closed.jaxpr, closed.consts, arrays)

    return run


def _evaluate(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in _needed(jaxpr):
        outputs = _apply(equation, [value(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _needed(jaxpr: Any) -> list[Any]:
    """Returns the equations that the outputs depend on: a key that nothing draws from does not."""
    wanted, found = {atom for atom in jaxpr.outvars if not isinstance(atom, Literal)}, []
    for equation in reversed(jaxpr.eqns):
        if wanted & set(equation.outvars):
            wanted |= {atom for atom in equation.invars if not isinstance(atom, Literal)}
            found.append(equation)
    return found[::-1]


def _apply(equation: Any, inputs: list[Any]) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if name in _CALLS:
        body = next(params[key] for key in _BODIES if key in params)
        consts = getattr(body, "consts", ())
        return _evaluate(getattr(body, "jaxpr", body), consts, inputs)
    if name == "reduce_window_max" and _is_pooling(params):
        return [_max_pool(inputs[0], params)]
    outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(params))
    return outputs if equation.primitive.multiple_results else [outputs]


def _is_pooling(params: Any) -> bool:
    """Whether a window [1, h, w, 1] goes over pictures [b, h, w, c]."""
    window, strides = params["window_dimensions"], params["window_strides"]
    ends = (window[0], window[-1], strides[0], strides[-1])
    dilated = any(size != 1 for size in (*params["base_dilation"], *params["window_dilation"]))
    return len(window) == 4 and all(size == 1 for size in ends) and not dilated


def _max_pool(x: Array, params: Any) -> Array:
    import flax.linen as nn  # by attribute: jax2onnx replaces it

    padding = params["padding"]
    if any(pad != (0, 0) for pad in map(tuple, padding)):
        lowest = jnp.array(-jnp.inf, x.dtype)
        x = lax.pad(x, lowest, [(low, high, 0) for low, high in padding])
    return nn.max_pool(
        x,
        window_shape=params["window_dimensions"][1:-1],
        strides=params["window_strides"][1:-1],
        padding="VALID",
    )
