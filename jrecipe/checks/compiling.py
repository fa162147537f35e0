"""Compilation of programs that run once or twice: the quicker it compiles, the better."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax


def jit_once(function: Callable[..., Any]) -> Any:
    """Returns `jax.jit(function)`, on a CPU without the optimisations that cost most to make.

    A check runs such a program a handful of times, so compiling it three times faster is worth more
    than running it faster. Results differ from the optimised program by rounding at most, and are
    bit-identical between calls.
    """
    if jax.default_backend() != "cpu":
        return jax.jit(function)
    options = {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
    }
    if jax.__version_info__ < (0, 11):  # halves the time to compile; later versions lack it
        options["xla_cpu_use_fusion_emitters"] = False
    compiled = jax.jit(function, compiler_options=options)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        # JAX takes options of a whole program only, so inside another one this is its function.
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(args)):
            return function(*args)
        return compiled(*args)

    return call
