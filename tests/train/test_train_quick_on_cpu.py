"""The rewritten gradients are those of XLA: kernels to rounding, pooling to the last bit."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh
from small_tasks import assert_close

from jrecipe.train.quick_on_cpu import quick_on_cpu

pytestmark = [
    pytest.mark.skipif(jax.default_backend() != "cpu", reason="for CPUs"),
    pytest.mark.thin(2),
]
SEEDS = st.integers(0, 2**31 - 1)


def operations(function, *args) -> str:
    return jax.jit(function).lower(*args).as_text()


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


CONVOLUTIONS = {
    "plain": {"padding": "SAME"},
    "strided": {"padding": "SAME", "window_strides": (2, 2)},
    "uneven": {"padding": ((2, 1), (0, 3)), "window_strides": (3, 1)},
    "dilated": {"padding": "VALID", "rhs_dilation": (2, 2)},
}


def loss_of(options):
    def loss(w, x):
        options_ = {"window_strides": (1, 1), **options}
        y = jax.lax.conv_general_dilated(
            x, w, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options_
        )
        return (y * jnp.sin(y)).mean()

    return loss


@pytest.mark.slow
@pytest.mark.parametrize("name", CONVOLUTIONS)
@given(seed=SEEDS)
def test_the_gradient_of_a_kernel_is_equal(name, seed):
    grad = jax.grad(loss_of(CONVOLUTIONS[name]), argnums=(0, 1))
    w, x = normal(seed, 3, 3, 5, 4), normal(seed + 1, 6, 9, 8, 5)
    quick = quick_on_cpu(grad)
    assert_close(jax.jit(quick)(w, x), jax.jit(grad)(w, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_it_is_a_product_of_patches(name):
    grad, args = (
        jax.grad(loss_of(CONVOLUTIONS[name])),
        (normal(0, 3, 3, 5, 4), normal(1, 6, 9, 8, 5)),
    )
    assert operations(grad, *args).count("stablehlo.convolution") == 2
    assert operations(quick_on_cpu(grad), *args).count("stablehlo.convolution") == 1


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_large_pictures_are_taken_some_at_a_time(batch):
    grad = jax.grad(loss_of(CONVOLUTIONS["plain"]))
    w, x = normal(0, 3, 3, 32, 8), normal(1, batch, 32, 32, 32)
    quick = quick_on_cpu(grad)
    assert ("stablehlo.while" in operations(quick, w, x)) == (batch > 1)
    assert_close(jax.jit(quick)(w, x), jax.jit(grad)(w, x), rtol=1e-3, atol=1e-6)


def test_bfloat16_is_summed_in_float32():
    loss = loss_of(CONVOLUTIONS["plain"])
    w, x = normal(0, 3, 3, 5, 4), normal(1, 64, 9, 8, 5)
    exact = jax.grad(loss)(w, x)
    small = jax.jit(quick_on_cpu(jax.grad(loss)))(w.astype(jnp.bfloat16), x.astype(jnp.bfloat16))
    assert small.dtype == jnp.bfloat16
    error = jnp.linalg.norm(small.astype(jnp.float32) - exact) / jnp.linalg.norm(exact)
    assert float(error) < 0.03


@pytest.mark.slow
@given(seed=SEEDS)
def test_max_pooling_is_equal_to_the_bit_also_in_ties_and_nan(seed):
    x = jnp.round(normal(seed, 4, 6, 8, 3))  # many ties
    x = x.at[0, 1, 1, 0].set(jnp.nan).at[1, 0, 0, 1].set(-jnp.inf)
    weights = normal(seed + 1, 4, 3, 4, 3)

    def loss(x):
        return (nn.max_pool(x, (2, 2), (2, 2)) * weights).sum()

    both = jax.value_and_grad(loss)
    (value, grad), (quick_value, quick_grad) = jax.jit(both)(x), jax.jit(quick_on_cpu(both))(x)
    np.testing.assert_array_equal(quick_grad, grad)
    np.testing.assert_array_equal(jnp.isnan(quick_value), jnp.isnan(value))
    assert "select_and_scatter" not in operations(quick_on_cpu(both), x)


@pytest.mark.parametrize(
    ("window", "strides", "size"), [((3, 3), (2, 2), 9), ((2, 2), (2, 2), 7), ((2, 2), (1, 1), 6)]
)
def test_windows_that_overlap_or_leave_a_rest_are_left_alone(window, strides, size):
    def loss(x):
        return (nn.max_pool(x, window, strides) ** 2).sum()

    x = normal(0, 2, size, size, 3)
    np.testing.assert_array_equal(
        jax.jit(quick_on_cpu(jax.grad(loss)))(x), jax.jit(jax.grad(loss))(x)
    )
    assert "select_and_scatter" in operations(quick_on_cpu(jax.grad(loss)), x)


def test_channels_first_and_groups_are_left_alone():
    def first(w, x):
        return (jax.lax.conv(x, w, (1, 1), "SAME") ** 2).sum()

    def grouped(w, x):
        y = jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3
        )
        return (y**2).sum()

    for loss, w, x in (
        (first, normal(0, 4, 3, 3, 3), normal(1, 2, 3, 8, 8)),
        (grouped, normal(0, 3, 3, 1, 6), normal(1, 2, 8, 8, 3)),
    ):
        grad = jax.grad(loss)
        assert_close(jax.jit(quick_on_cpu(grad))(w, x), jax.jit(grad)(w, x), rtol=1e-5, atol=1e-5)


def test_nested_and_rematerialised_parts_keep_their_meaning():
    def block(w, x):
        return jnp.tanh(nn.max_pool(loss_inner(w, x), (2, 2), (2, 2)))

    def loss_inner(w, x):
        return jax.lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    w, x = normal(0, 3, 3, 4, 4), normal(1, 2, 8, 8, 4)
    for wrap in (jax.jit, jax.checkpoint, lambda f: jax.jit(jax.checkpoint(f))):
        wrapped = wrap(block)
        grad = jax.grad(lambda w, x, f=wrapped: f(w, x).sum())
        assert_close(jax.jit(quick_on_cpu(grad))(w, x), jax.jit(grad)(w, x), rtol=1e-4, atol=1e-5)


def test_on_a_mesh_each_device_takes_its_own_pictures():
    devices = jax.devices()
    mesh = Mesh(np.array(devices[:2]), ("batch",))  # tests have at least two
    cut = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    grad = jax.grad(loss_of(CONVOLUTIONS["plain"]))
    w, x = normal(0, 3, 3, 5, 4), normal(1, 8, 9, 8, 5)
    laid = jax.device_put(x, cut)
    program = jax.jit(quick_on_cpu(grad, mesh))
    # Waited for: a program begun beside one with collectives can deadlock XLA's CPU devices.
    summed = jax.block_until_ready(program(w, laid))
    assert_close(summed, grad(w, x), rtol=1e-4, atol=1e-6)
    assert "all-gather" not in program.lower(w, laid).compile().as_text()
