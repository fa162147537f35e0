"""The convolution for loops is `nn.Conv` in every number."""

from __future__ import annotations

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import generator, seeds

from jrecipe.models import Conv
from jrecipe.types import TaskError


@functools.cache
def compiled(make, kernel):
    """Returns jitted `init` and `(params, x) -> ((sum, outputs), gradients of both)`."""
    module = make(4, kernel)

    def score(params, x):
        outputs = module.apply(params, x)
        return jnp.sum(jnp.sin(outputs)), outputs

    return jax.jit(module.init), jax.jit(jax.value_and_grad(score, argnums=(0, 1), has_aux=True))


@pytest.mark.exhaustive
@pytest.mark.parametrize("kernel", [(3, 3), (5, 1)])
@given(seed=seeds)
def test_conv_equals_flax_in_values_and_gradients(kernel, seed):
    x = generator(seed).normal(size=(2, 6, 7, 3)).astype(np.float32)
    (init, score), (reference_init, reference) = compiled(Conv, kernel), compiled(nn.Conv, kernel)
    params = init(jax.random.key(seed), x)
    jax.tree.map(np.testing.assert_array_equal, params, reference_init(jax.random.key(seed), x))
    params["params"]["bias"] = params["params"]["bias"] + jnp.arange(4.0)
    (_, outputs), grads = score(params, x)
    (_, want), want_grads = reference(params, x)
    np.testing.assert_allclose(outputs, want, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), grads, want_grads)


def test_conv_names_what_it_cannot_do():
    with pytest.raises(TaskError, match=r"\(2, 2\)"):
        Conv(4, (2, 2)).init(jax.random.key(0), jnp.ones((1, 4, 4, 1)))
    with pytest.raises(TaskError, match=r"\(4, 4, 1\)"):
        Conv(4).init(jax.random.key(0), jnp.ones((4, 4, 1)))
