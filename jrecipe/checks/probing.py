"""Weights under which a dependency shows, and how much two computations may differ by rounding.

A zero-initialised head gives the same output for every input, so an untrained network may hide any
fault behind it. Checks that ask what an output depends on therefore move every weight a little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.context import Context
from jrecipe.types import Array, PyTree

# Relative difference that the order of summation makes in a network of usual depth, by the least
# precise type it computes in. Matrix units of accelerators round float32 to about 11 bits.
_ROUNDING = {"float64": 1e-10, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
_ACCELERATOR = 1e-2


def perturbed(params: PyTree, seed: int, scale: float = 0.1) -> PyTree:
    """Returns parameters with normal noise of `scale * (std + 0.01)` added to each leaf.

    The noise comes from NumPy: drawing it with JAX would compile a program for each shape.

    Args:
      params: pytree; leaves that are not floating point stay.
      seed: decides the noise.
      scale: size of the noise, relative to the spread of the leaf.
    """
    rng = np.random.default_rng((seed % 2**32, 17))

    def move(leaf: Array) -> Array:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        values = np.asarray(leaf).astype(np.float64)
        noise = rng.normal(size=values.shape) * scale * (float(values.std()) + 1e-2)
        return jnp.asarray((values + noise).astype(leaf.dtype))

    return jax.tree.map(move, params)


def visible_variables(ctx: Context) -> tuple[PyTree, PyTree]:
    """Returns `(params, state)` of the task's model, every weight moved a little off its start."""
    params, state = ctx.variables()
    return perturbed(params, ctx.seed), state


def trained_state(ctx: Context, steps: int = 3) -> Any:
    """Returns the trainer's state after a few updates, where weights cannot be moved by hand."""
    state, batches = ctx.fresh_state(), (ctx.batch(), ctx.other())
    for i in range(steps):
        state, _ = ctx.trainer.step(state, batches[i % 2], jax.random.fold_in(ctx.key, i))
    return state


def traceable(function: Callable[..., Any], *args: PyTree) -> bool:
    """Tells whether JAX can trace a function that a foreign trainer runs as it is.

    NumPy code asks a traced value for its numbers, NNX refuses to touch variables of another trace:
    each library has exceptions of its own for it, and that one is raised is the answer.

    Args:
      function: of the user's own; it is known to run.
      *args: its arguments.
    """
    try:
        jax.eval_shape(function, *args)
    except Exception:  # any: see above
        return False
    return True


def as_numpy(tree: PyTree) -> PyTree:
    """Returns copies of all leaves as NumPy arrays; keys become their data."""

    def copy(leaf: Array) -> np.ndarray:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        return np.array(leaf)

    return jax.tree.map(copy, tree)


def same_structure(a: PyTree, b: PyTree) -> bool:
    """Tells whether two pytrees have the same structure, their leaves aside."""
    structure: Any = jax.tree.structure(a)
    return bool(structure == jax.tree.structure(b))


def same_bits(a: Array, b: Array) -> np.ndarray:
    """Returns bool of the arrays' shape: equal elements, NaN equal to NaN."""
    a, b = np.asarray(a), np.asarray(b)
    same: np.ndarray = (a == b) | ((a != a) & (b != b))
    return same


def disagreement(a: PyTree, b: PyTree) -> float:
    """Returns the largest difference between two results, relative to the size of the first.

    The size of a leaf is its root mean square. Infinite if shapes or structures differ, or if one
    has NaN where the other has none.

    Example:
      >>> disagreement(np.array([3.0, 4.0]), np.array([3.0, 4.5])) == 0.5 / 12.5**0.5
      True
    """
    if not same_structure(a, b):
        return float("inf")
    worst = 0.0
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x64, y64 = (np.asarray(leaf).astype(np.float64) for leaf in (x, y))
        if x64.shape != y64.shape or not np.array_equal(np.isfinite(x64), np.isfinite(y64)):
            return float("inf")
        finite = np.isfinite(x64)
        if finite.any():
            gap = float(np.abs(x64 - y64)[finite].max())
            size = float(np.sqrt(np.mean(x64[finite] ** 2)))
            worst = max(worst, gap / size if size > 0 else (0.0 if gap == 0 else float("inf")))
    return worst


def rounding(ctx: Context) -> float:
    """Returns the relative difference that rounding alone may make in the outputs of the task.

    It goes by the least precise type that the network computes in, found in its trace; with a
    foreign trainer by that of its parameters, and of `predict` where it can be traced.
    """
    if ctx.model is not None and not ctx.foreign:
        params, state = ctx.variables()
        trace = jax.make_jaxpr(lambda p, s, x: ctx.model.apply(p, s, x)[0])  # type: ignore[union-attr]
        names = _float_types(trace(params, state, ctx.batch(2).inputs).jaxpr)
    else:
        names = ctx.once("float types of the trainer", lambda: _trainer_types(ctx))
    known = [_ROUNDING[name] for name in names if name in _ROUNDING] or [_ROUNDING["float32"]]
    least = _ACCELERATOR if jax.default_backend() != "cpu" else 0.0
    return max(*known, least)


def _trainer_types(ctx: Context) -> set[str]:
    """Returns the floating types of a foreign trainer's parameters, and of its predictions' way."""
    state, inputs = ctx.fresh_state(), ctx.batch(2).inputs
    leaves = jax.tree.leaves(ctx.trainer.params(state))
    names = {str(getattr(leaf, "dtype", "float32")) for leaf in leaves}
    predict = lambda x: ctx.trainer.predict(state, x)  # noqa: E731
    if traceable(predict, inputs):
        names |= _float_types(jax.make_jaxpr(predict)(inputs).jaxpr)
    return names


def _float_types(jaxpr: Any) -> set[str]:
    """Returns the names of all floating types of a jaxpr and those nested in it."""
    found = set()
    for equation in jaxpr.eqns:
        for var in equation.outvars:
            dtype = getattr(var.aval, "dtype", None)
            if dtype is not None and jnp.issubdtype(dtype, jnp.floating):
                found.add(str(dtype))
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    found |= _float_types(inner)
    return found
