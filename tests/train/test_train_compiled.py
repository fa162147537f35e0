"""A scan and a loop give the same numbers; which is used follows from the program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_tasks import assert_close

from jrecipe.train.compiled import contains_primitive, roll, scans_well


def convolve(x):
    return jax.lax.conv(x, jnp.ones((1, 1, 3, 3)), (1, 1), "SAME")


@pytest.mark.parametrize("count", [1, 5])
def test_a_scan_equals_a_loop(count):
    def step(carry, x, scale):
        carry = {"sum": carry["sum"] + scale * x}
        return carry, {"squared": carry["sum"] ** 2}

    xs = np.linspace(0, 1, count * 3, dtype=np.float32).reshape(count, 3)
    scanned, looped = (
        roll(step, scan)({"sum": jnp.zeros(3)}, xs, count, 2.0) for scan in (True, False)
    )
    assert_close(scanned, looped)
    assert scanned[1]["squared"].shape == (count, 3)


@pytest.mark.parametrize("scan", [True, False])
def test_another_length_compiles_nothing_anew(scan):
    traced = []

    def step(carry, x):
        traced.append(1)
        return carry + x, carry

    run, xs = roll(step, scan), np.arange(4.0, dtype=np.float32)
    run(jnp.zeros(()), xs, 4)
    once = len(traced)
    for count in (1, 2, 3):
        total, before = run(jnp.zeros(()), xs, count)
        assert float(total) == sum(range(count))
        np.testing.assert_array_equal(before[:count], np.cumsum([0, *range(count - 1)])[:count])
    assert len(traced) == once


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: f,
        jax.jit,
        jax.grad,
        jax.checkpoint,
        lambda f: lambda x: jax.lax.cond(x.sum() > 0, f, lambda x: x.sum(), x),
        lambda f: lambda x: jax.lax.scan(lambda c, _: (c + f(x), None), 0.0, None, length=2)[0],
    ],
)
def test_a_convolution_is_found_however_deep_it_lies(wrap):
    function, x = wrap(lambda x: convolve(x).sum()), jnp.ones((1, 1, 5, 5))
    assert contains_primitive(jax.make_jaxpr(function)(x).jaxpr, "conv_general_dilated")
    assert not contains_primitive(jax.make_jaxpr(function)(x).jaxpr, "fft")
    if jax.default_backend() == "cpu":
        assert not scans_well(function, x)


def test_a_program_without_convolutions_scans_well():
    assert scans_well(lambda x: x @ x, jnp.ones((3, 3)))
