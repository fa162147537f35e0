"""What XLA's CPU backend is slow at in the gradients of pictures, in a quicker form.

XLA computes the gradient of a kernel as a convolution whose "kernel" is as large as the picture,
between transposed copies, and that of max-pooling by a scatter. Both are rewritten in the program
of a step after differentiation, so networks stay as they are. The kernel's gradient is the product
of the pictures' patches with the gradient of the output (Chellapilla et al., 2006, "im2col"), a few
pictures at a time so that the patches stay in the cache; it is equal to rounding. That of
max-pooling is equal to the last bit.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Literal, jaxpr_as_fun
from jax.sharding import Mesh, PartitionSpec

from jrecipe.train.compiled import contains_primitive
from jrecipe.types import Array

_PATCHES = 2**19  # numbers that fit into a core's second-level cache
_LARGEST_WINDOW = 16
_REWRITTEN = ("conv_general_dilated", "select_and_scatter_add", "reduce_window_max")


def quick_on_cpu(step: Callable[..., Any], mesh: Mesh | None = None) -> Callable[..., Any]:
    """Returns `step` as a program that computes the same and is quicker on a CPU.

    On another backend, and for a step without convolutions and pooling, it is `step` itself. What
    stands inside loops, conditions and rematerialised parts is left as it is.

    Args:
      step: a function of pytrees of arrays that JAX can trace, with gradients inside.
      mesh: of one axis, along which batches are cut; None for one device.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jax import lax
      >>> conv = lambda w, x: lax.conv(x, w, (1, 1), "SAME").sum()
      >>> w, x = jnp.ones((4, 3, 3, 3)), jnp.ones((2, 3, 8, 8))
      >>> bool(jnp.allclose(jax.grad(conv)(w, x), quick_on_cpu(jax.grad(conv))(w, x)))
      True
    """
    if jax.default_backend() != "cpu":
        return step

    @functools.wraps(step)
    def quick(*args: Any) -> Any:
        closed, shape = jax.make_jaxpr(step, return_shape=True)(*args)
        flat = jax.tree.leaves(args)
        if _concerned(closed.jaxpr):
            outputs = _evaluate(closed.jaxpr, closed.consts, flat, mesh)
        else:
            outputs = jaxpr_as_fun(closed)(*flat)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return quick


def _concerned(jaxpr: Any) -> bool:
    return any(contains_primitive(jaxpr, name) for name in _REWRITTEN)


def _evaluate(
    jaxpr: Any, consts: Sequence[Any], args: Sequence[Any], mesh: Mesh | None
) -> list[Any]:
    """Evaluates a jaxpr, with some of its operations replaced."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in jaxpr.eqns:
        inputs = [value(atom) for atom in equation.invars]
        outputs = _apply(equation, inputs, mesh)
        known.update(zip(equation.outvars, outputs, strict=True))
    return [value(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Any], mesh: Mesh | None) -> Sequence[Any]:
    name, params = equation.primitive.name, equation.params
    if name == "conv_general_dilated" and _is_kernel_gradient(equation):
        return [_kernel_gradient_on(mesh, inputs[0], inputs[1], params)]
    if name == "select_and_scatter_add" and _is_max_pooling(params, inputs[1]):
        return [_unpooled(inputs[0], inputs[1], params["window_dimensions"])]
    if name == "reduce_window_max" and _in_blocks(params, inputs[0]):
        return [functools.reduce(lax.max, _members(inputs[0], params["window_dimensions"]))]
    if name in ("jit", "pjit") and _concerned(params["jaxpr"].jaxpr):
        return _evaluate(params["jaxpr"].jaxpr, params["jaxpr"].consts, inputs, mesh)
    with equation.ctx.manager:  # the settings under which it was traced
        outputs = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(params))
    return outputs if equation.primitive.multiple_results else [outputs]


def _is_kernel_gradient(equation: Any) -> bool:
    """Whether pictures [b, ..., c] and the gradient of outputs [b, ..., d] meet, b summed away."""
    params, numbers = equation.params, equation.params["dimension_numbers"]
    last = len(numbers.lhs_spec) - 1
    kernel = [equation.outvars[0].aval.shape[i] for i in numbers.out_spec[2:]]
    window = [equation.invars[1].aval.shape[i] for i in numbers.rhs_spec[2:]]
    return (
        params["feature_group_count"] == params["batch_group_count"] == 1
        and all(dilation == 1 for dilation in params["lhs_dilation"])
        and numbers.lhs_spec == numbers.rhs_spec == (last, 0, *range(1, last))
        and math.prod(kernel) <= math.prod(window)
    )


def _kernel_gradient_on(
    mesh: Mesh | None, pictures: Array, cotangent: Array, params: Mapping[str, Any]
) -> Array:
    """Returns the gradient of a kernel; on a mesh each device takes its own pictures."""
    if mesh is None or len(pictures) % mesh.size:
        return _kernel_gradient(pictures, cotangent, **params)
    (axis,) = mesh.axis_names

    def own(pictures: Array, cotangent: Array) -> Array:
        return lax.psum(_kernel_gradient(pictures, cotangent, **params), axis)

    cut = PartitionSpec(axis)
    summed = jax.shard_map(
        own, mesh=mesh, in_specs=(cut, cut), out_specs=PartitionSpec(), check_vma=False
    )
    return summed(pictures, cotangent)


def _kernel_gradient(
    pictures: Array,
    cotangent: Array,
    *,
    window_strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    rhs_dilation: Sequence[int],
    dimension_numbers: Any,
    precision: Any,
    preferred_element_type: Any,
    **_: Any,
) -> Array:
    """Returns the gradient of a kernel, from [b, ..., c] and [b, ..., d]."""
    batch, channels, features = pictures.shape[0], pictures.shape[-1], cotangent.shape[-1]
    spatial = cotangent.shape[1:-1]
    span = [(n - 1) * d + 1 for n, d in zip(spatial, rhs_dilation, strict=True)]
    offsets = [
        range(0, size + low + high - n + 1, stride)
        for size, (low, high), n, stride in zip(
            pictures.shape[1:-1], padding, span, window_strides, strict=True
        )
    ]
    kernel = [len(axis) for axis in offsets]
    per_picture = math.prod(kernel) * channels * math.prod(spatial)
    some = max(
        n for n in range(1, batch + 1) if not batch % n and n <= max(1, _PATCHES // per_picture)
    )

    def add(i: Array | int, total: Array) -> Array:
        x = lax.dynamic_slice_in_dim(pictures, i * some, some)
        d = lax.dynamic_slice_in_dim(cotangent, i * some, some)
        x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *[(*p, 0) for p in padding], (0, 0, 0)])
        patches = [
            lax.slice(
                x,
                (0, *at, 0),
                (some, *[a + n for a, n in zip(at, span, strict=True)], channels),
                (1, *rhs_dilation, 1),
            )
            for at in itertools.product(*offsets)
        ]
        rows = lax.concatenate(patches, x.ndim - 1).reshape(-1, math.prod(kernel) * channels)
        product = jnp.matmul(
            rows.T,
            d.reshape(-1, features),
            precision=precision,
            preferred_element_type=total.dtype,
        )
        return total + product

    dtype = preferred_element_type or pictures.dtype
    total = jnp.zeros(
        (math.prod(kernel) * channels, features), jnp.promote_types(dtype, jnp.float32)
    )
    parts = batch // some
    total = add(0, total) if parts == 1 else lax.fori_loop(0, parts, add, total)
    # [..., c, d] to where the convolution puts its batch (c), feature (d) and spatial axes
    total = total.astype(dtype).reshape(*kernel, channels, features)
    rank = total.ndim
    source = [rank - 2, rank - 1, *range(rank - 2)]
    return jnp.moveaxis(total, source, dimension_numbers.out_spec)


def _is_max_pooling(params: Any, operand: Array) -> bool:
    return params["select_prim"] is lax.ge_p and _in_blocks(params, operand)


def _in_blocks(params: Any, operand: Array) -> bool:
    """Whether the windows lie side by side and cover everything."""
    window = params["window_dimensions"]
    return (
        tuple(params["window_strides"]) == tuple(window)
        and all(pair == (0, 0) for pair in params["padding"])
        and all(
            n == 1 for name in ("base_dilation", "window_dilation") for n in params.get(name, ())
        )
        and all(size % n == 0 for size, n in zip(operand.shape, window, strict=True))
        and math.prod(window) <= _LARGEST_WINDOW
    )


def _members(x: Array, window: Sequence[int]) -> list[Array]:
    """Returns the first members of all windows, the second, ..., in row-major order."""
    return [
        lax.slice(x, at, x.shape, window) for at in itertools.product(*(range(n) for n in window))
    ]


def _unpooled(cotangent: Array, operand: Array, window: Sequence[int]) -> Array:
    """Returns the gradient of max-pooling: the first of the largest in each window gets all."""
    best, *others = _members(operand, window)
    winner = jnp.zeros(best.shape, jnp.uint8)
    for i, other in enumerate(others, 1):
        keeps = best >= other
        best, winner = jnp.where(keeps, best, other), jnp.where(keeps, winner, jnp.uint8(i))
    blocks = [m for n, size in zip(window, best.shape, strict=True) for m in (size, n)]
    axes = range(0, len(blocks), 2)  # of the windows; those of their members lie between

    def spread(x: Array) -> Array:
        return lax.broadcast_in_dim(x, blocks, axes)

    members = jnp.arange(math.prod(window), dtype=jnp.uint8).reshape(window)
    own = lax.broadcast_in_dim(members, blocks, range(1, len(blocks), 2))
    chosen = jnp.where(spread(winner) == own, spread(cotangent), jnp.zeros((), cotangent.dtype))
    return chosen.reshape(operand.shape)
