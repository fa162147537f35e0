"""Dropout whose rate is traced: the same law, and the same draws, as with a number."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jrecipe.models.dropout import Dropout


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_traced_dropout_rate_keeps_expectation_and_variance(rate):
    # Inverted dropout of ones: mean 1, variance r / (1 - r).
    @jax.jit
    def drop(rate, key):
        return Dropout(rate, deterministic=False).apply(
            {}, jnp.ones((200, 200)), rngs={"dropout": key}
        )

    traced = drop(rate, jax.random.key(0))
    variance = rate / (1 - rate)
    np.testing.assert_allclose(traced.mean(), 1.0, atol=5 * (variance / 40_000) ** 0.5)
    np.testing.assert_allclose(traced.var(), variance, rtol=0.05)
    module = Dropout(rate, deterministic=False)
    static = module.apply({}, jnp.ones((200, 200)), rngs={"dropout": jax.random.key(0)})
    np.testing.assert_allclose(traced, static, rtol=1e-6)


def test_evaluation_and_shared_axes_are_those_of_linen():
    x, key = jnp.ones((4, 5, 6)), {"dropout": jax.random.key(1)}

    @jax.jit
    def traced(rate):
        module = Dropout(rate, broadcast_dims=(1,))
        return module.apply({}, x, deterministic=True), module.apply({}, x, False, rngs=key)

    still, dropped = traced(0.5)
    np.testing.assert_array_equal(still, x)
    want = nn.Dropout(0.5, broadcast_dims=(1,)).apply({}, x, False, rngs=key)
    np.testing.assert_array_equal(dropped, want)
    np.testing.assert_array_equal(dropped, dropped[:, :1] + jnp.zeros_like(x))


def test_rates_can_be_mapped():
    drop = lambda rate: Dropout(rate, deterministic=False).apply(  # noqa: E731
        {}, jnp.ones(4000), rngs={"dropout": jax.random.key(0)}
    )
    shares = (jax.vmap(drop)(jnp.array([0.0, 0.2, 0.8])) == 0).mean(axis=1)
    np.testing.assert_allclose(shares, [0.0, 0.2, 0.8], atol=0.03)
