"""What is computed again gives the same numbers, and is not kept."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from networks import LinenNet
from small_tasks import assert_close, assert_identical

from jrecipe.models import as_model, remat

INPUTS = jax.random.normal(jax.random.key(5), (8, 3))


def slope(model, inputs):
    def loss(params, state, key):
        out, after = model.apply(params, state, inputs, key=key, train=True)
        return (out**2).sum(), (out, after)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


@pytest.mark.slow
def test_losses_gradients_and_statistics_are_those_of_the_network():
    plain = as_model(LinenNet())
    params, state = plain.init(jax.random.key(0), INPUTS)
    args = params, state, jax.random.key(1)  # dropout draws the same mask again
    assert_close(slope(remat(plain), INPUTS)(*args), slope(plain, INPUTS)(*args), 1e-5)
    evaluated = [m.apply(params, state, INPUTS)[0] for m in (plain, remat(plain))]
    assert_identical(*evaluated)
    quiet = remat(plain).without("dropout")
    first, second = (
        quiet.apply(params, state, INPUTS, key=jax.random.key(i), train=True)[0] for i in (1, 2)
    )
    assert_identical(first, second)


class Deep(nn.Module):
    """Six layers of which most arrays are cheap to compute again."""

    @nn.compact
    def __call__(self, x, train: bool):
        for _ in range(6):
            x = nn.BatchNorm(use_running_average=not train)(nn.Conv(16, (3, 3))(x))
            x = jnp.sin(jnp.tanh(nn.silu(x)))
        return x.mean(axis=(1, 2))


@pytest.mark.exhaustive
def test_a_deep_network_keeps_less():
    inputs = jnp.zeros((8, 16, 16, 3))
    plain = as_model(Deep())
    params, state = jax.jit(plain.init)(jax.random.key(0), inputs)

    def kept(model):  # the arrays that go from the forward to the backward pass
        def loss(params):
            return model.apply(params, state, inputs, key=None, train=True)[0].sum()

        _, back = jax.vjp(loss, params)
        return sum(x.size for x in jax.tree.leaves(back))

    assert kept(remat(plain)) < 0.5 * kept(plain)
