"""How programs are compiled: many steps as one, where that is faster, and quickly where run once.

A loop over steps inside the program saves the way through Python at each one, which is most of the
time of a small network. One case is the other way round: XLA's CPU backend runs a convolution
inside a loop 20 to 35 times slower than outside (https://github.com/jax-ml/jax/issues/12868). Such
steps are compiled alone and looped over in Python. Both give the same numbers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.types import Array, PyTree


def contains_primitive(jaxpr: Any, name: str) -> bool:
    """Tells whether a jaxpr, or one nested in it, uses the primitive `name`."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            return True
        for value in equation.params.values():
            for inner in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns") and contains_primitive(inner, name):
                    return True
    return False


def scans_well(step: Callable[..., Any], *args: PyTree) -> bool:
    """Tells whether `step(*args)` should run inside a scan on this backend.

    Args:
      step: a function to trace, not run.
      *args: arguments, or their shapes.
    """
    return jax.default_backend() != "cpu" or loops_well(jax.make_jaxpr(step)(*args).jaxpr)


def loops_well(jaxpr: Any) -> bool:
    """Tells the same of what has been traced, alone or within a loop."""
    return jax.default_backend() != "cpu" or not contains_primitive(jaxpr, "conv_general_dilated")


def _jitted(run: Callable[..., Any], axis: int) -> Callable[..., Any]:
    return jax.jit(run, donate_argnums=0)


def roll(
    step: Callable[..., tuple[PyTree, PyTree]],
    scan: bool,
    compiled: Callable[[Callable[..., Any], int], Callable[..., Any]] = _jitted,
) -> Callable[..., Any]:
    """Compiles `step(carry, x, *constants) -> (carry, y)` over some of the leading axis of `xs`.

    How many is a number of the compiled program, so that no other length compiles it anew.

    Args:
      step: a pure function.
      scan: as one program; otherwise one compiled step called in a loop.
      compiled: `(run, axis) -> run`, compiled and donating its first argument; `axis` is that of
        the batch in its second.

    Returns:
      `(carry, xs, count, *constants) -> (carry, ys)`, donating `carry`: over the first `count` of
      `xs`. Of `ys`, at least the first `count` are there.
    """
    if scan:

        def run(carry: PyTree, xs: PyTree, count: Array, *constants: PyTree) -> Any:
            def at(i: Array | int) -> PyTree:
                return jax.tree.map(lambda x: x[i], xs)

            length = len(jax.tree.leaves(xs)[0])
            y = jax.eval_shape(step, carry, at(0), *constants)[1]
            ys = jax.tree.map(lambda y: jnp.zeros((length, *y.shape), y.dtype), y)

            def body(i: Array, both: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
                carry, y = step(both[0], at(i), *constants)
                return carry, jax.tree.map(lambda ys, y: ys.at[i].set(y), both[1], y)

            return jax.lax.fori_loop(0, count, body, (carry, ys))

        program = compiled(run, 1)
        # As an array: a number of Python's is another type of argument to a compiled program.
        return lambda carry, xs, count, *rest: program(carry, xs, np.int32(count), *rest)
    one = compiled(step, 0)

    def loop(carry: PyTree, xs: PyTree, count: int, *constants: PyTree) -> tuple[PyTree, PyTree]:
        ys = []
        for i in range(count):
            carry, y = one(carry, jax.tree.map(lambda x, i=i: x[i], xs), *constants)
            ys.append(y)
        return carry, jax.tree.map(lambda *y: np.stack(y), *jax.device_get(ys))

    return loop


def jit_once(function: Callable[..., Any]) -> Any:
    """Returns `jax.jit(function)`, on a CPU without the optimisations that cost most to make.

    A check runs such a program a handful of times, so compiling it three times faster is worth more
    than running it faster. Results differ from the optimised program by rounding at most, and are
    bit-identical between calls.
    """
    if jax.default_backend() != "cpu":
        return jax.jit(function)
    compiled = jax.jit(function, compiler_options=_quickly(0))

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        # JAX takes options of a whole program only, so inside another one this is its function.
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
            return function(*args)
        return compiled(*args)

    return call


def jit_for_hundreds(function: Callable[..., Any], donate_argnums: int) -> Any:
    """Returns `jax.jit(function)` for a program that is run some hundreds of times.

    On a CPU with the optimisations that such a run earns back: a character-level transformer's 300
    updates of 12 arms took 0.7 s compiled in 1.1 s, against 0.8 s compiled in 2.3 s with all.

    Args:
      function: a pure function; it is not called inside another compiled one.
      donate_argnums: see `jax.jit`.
    """
    if jax.default_backend() != "cpu":
        return jax.jit(function, donate_argnums=donate_argnums)
    return jax.jit(function, donate_argnums=donate_argnums, compiler_options=_quickly(1))


def _quickly(level: int) -> dict[str, Any]:
    """Returns XLA's options for compiling on a CPU in little time; levels go from 0 to 3."""
    options: dict[str, Any] = {
        "xla_backend_optimization_level": level,
        "xla_llvm_disable_expensive_passes": True,
    }
    if jax.__version_info__ < (0, 11):  # halves the time to compile; later versions lack it
        options["xla_cpu_use_fusion_emitters"] = False
    return options
