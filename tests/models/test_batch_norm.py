"""The closed-form gradient of BatchNorm is what differentiation gives, in float64 (I, rung 2)."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generator, seeds

EPSILON = 1e-5


def closed_form(x, scale, dy):
    """Gradients of `scale * xhat + bias` for x [n, c], as worked out by hand.

    With xhat = (x - mean) / s and s = sqrt(variance + epsilon) over the n rows, mean and variance
    depend on every row, so dx is the projection of dy orthogonal to the ones and to xhat:

      dx = scale / (n s) * (n dy - sum(dy) - xhat sum(dy xhat))
    """
    n = len(x)
    s = np.sqrt(x.var(axis=0) + EPSILON)
    xhat = (x - x.mean(axis=0)) / s
    along = (dy * xhat).sum(axis=0)
    dx = scale / (n * s) * (n * dy - dy.sum(axis=0) - xhat * along)
    return dx, along, dy.sum(axis=0)


def by_differentiation(x, scale, bias, dy):
    """The same from Flax's layer and autodiff."""
    layer = nn.BatchNorm(
        use_running_average=False, epsilon=EPSILON, dtype=jnp.float64, param_dtype=jnp.float64
    )
    stats = {"mean": jnp.zeros(x.shape[-1]), "var": jnp.ones(x.shape[-1])}

    def run(x, scale, bias):
        variables = {"params": {"scale": scale, "bias": bias}, "batch_stats": stats}
        return layer.apply(variables, x, mutable=["batch_stats"])[0]

    return jax.vjp(run, x, scale, bias)[1](dy)


@pytest.mark.exhaustive
@pytest.mark.parametrize("shape", [(8, 3), (4, 3, 2, 5)])
@given(seed=seeds, spread=st.sampled_from((1e-3, 1.0, 100.0)))
def test_the_closed_form_is_what_differentiation_gives(shape, seed, spread):
    rng, channels = generator(seed), shape[-1]
    x, dy = 3.0 + spread * rng.normal(size=shape), rng.normal(size=shape)
    scale, bias = rng.normal(size=channels), rng.normal(size=channels)
    flat = lambda a: a.reshape(-1, channels)  # noqa: E731
    want = closed_form(flat(x), scale, flat(dy))
    with jax.enable_x64(True):
        dx, dscale, dbias = by_differentiation(*map(jnp.asarray, (x, scale, bias, dy)))
        assert dx.dtype == jnp.float64
    size = abs(want[0]).max()
    np.testing.assert_allclose(flat(np.asarray(dx)), want[0], rtol=1e-7, atol=1e-9 * size)
    np.testing.assert_allclose(dscale, want[1], rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(dbias, want[2], rtol=1e-7, atol=1e-9)


@given(seed=seeds)
def test_the_gradient_neither_shifts_nor_stretches_the_batch(seed):
    # Adding a constant to x, or (but for epsilon) scaling it, changes no output.
    rng = generator(seed)
    x, dy = 1e3 * rng.normal(size=(20, 4)), rng.normal(size=(20, 4))
    dx = closed_form(x, np.ones(4), dy)[0]
    np.testing.assert_allclose(dx.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose((dx * x).sum(axis=0), 0, atol=1e-9)
