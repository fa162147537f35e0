"""B4 on a healthy network whose head is small and random, not zero."""

import jax
import jax.numpy as jnp
import pytest
from programs import check, task

import jrecipe as jr
from jrecipe.checks.loss_at_init import check_loss_at_init
from jrecipe.checks.result import Verdict


def init(key, inputs):
    first, last = jax.random.split(key)
    features = inputs.shape[-1]
    params = {
        "first": jax.random.normal(first, (features, 64)) * (2 / features) ** 0.5,
        "last": 0.01 * jax.random.normal(last, (64, 10)),
    }
    return params, {}


def apply(params, state, inputs, *, key=None, train=False):
    return jnp.maximum(inputs @ params["first"], 0) @ params["last"], state


@pytest.mark.parametrize("seed", range(8))
def test_one_draw_of_a_random_head_may_fit_the_labels_by_chance(seed):
    """Examples of a class look alike, so chance fits or misfits all of them at once."""
    findings = check(check_loss_at_init, task(jr.Model(init, apply)), seed)
    assert [f.verdict for f in findings] == [Verdict.PASSED], findings[0].finding
