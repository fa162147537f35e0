"""B4 on a healthy network whose head is small and random, not zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import check, digits, task

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


@pytest.mark.thin(8)
@pytest.mark.parametrize("seed", range(8))
def test_one_draw_of_a_random_head_may_fit_the_labels_by_chance(seed):
    """Examples of a class look alike, so chance fits or misfits all of them at once."""
    findings = check(check_loss_at_init, task(jr.Model(init, apply)), seed)
    assert [f.verdict for f in findings] == [Verdict.PASSED], findings[0].finding


def own_loss(outputs, targets):
    """A loss without a law that is known: cross-entropy that forgives sure answers."""
    logp = jnp.take_along_axis(jax.nn.log_softmax(outputs), targets[:, None], axis=1)[:, 0]
    return -((1 - jnp.exp(logp)) ** 2) * logp


@pytest.mark.exhaustive
@pytest.mark.thin(4)
@pytest.mark.parametrize("seed", range(4))
def test_chance_is_no_leak_for_a_loss_of_ones_own_either(seed):
    wide = jr.Model(lambda key, x: jax.tree.map(lambda p: 10 * p, init(key, x)), apply)
    findings = check(check_loss_at_init, task(wide, loss=own_loss), seed)
    assert [f.verdict for f in findings] == [Verdict.PASSED], findings[0].finding


@pytest.mark.slow
def test_a_network_that_is_told_the_label_by_its_inputs_is_found_from_every_draw():
    x, y = digits()
    told = np.concatenate([x, 3 * np.eye(10, dtype=np.float32)[y]], axis=1)

    def with_answer(params, state, inputs, *, key=None, train=False):
        outputs, state = apply(params, state, inputs[:, :64])
        return outputs + inputs[:, 64:], state

    model = jr.Model(lambda key, x: init(key, x[:, :64]), with_answer)
    leaky = task(model, loss=own_loss, train=(told[:400], y[:400]), val=(told[400:700], y[400:700]))
    (finding,) = check(check_loss_at_init, leaky)
    assert (finding.verdict, finding.suspects[0].cause) == (Verdict.WARNED, "label-leak")
    assert "whichever weights are drawn" in finding.finding
