"""B8 with a trainer of one's own: one rate for all, which a few examples may not bear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import check

import jrecipe as jr
from jrecipe.checks.overfit_batch import check_overfit_batch
from jrecipe.checks.result import Verdict


def line(rate: float) -> jr.Task:
    """A line fitted by hand; batches of four large inputs diverge at a rate that all 400 bear."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 1)).astype(np.float32)
    x[::100] *= 5.0
    y = (2.0 * x[:, 0]).astype(np.float32)

    def predict(state, inputs):
        return inputs @ state["w"]

    @jax.jit
    def step(state, batch, key):
        def loss(state):
            error = predict(state, batch.inputs) - batch.targets
            return (error**2 * batch.weights).sum() / batch.weights.sum()

        value, grads = jax.value_and_grad(loss)(state)
        return jax.tree.map(lambda p, g: p - rate * g, state, grads), {"loss": value}

    return jr.Task(
        trainer=jr.Trainer(
            lambda key: {"w": jnp.zeros(1)}, step, predict, params=lambda state: state
        ),
        loss=lambda outputs, targets: (outputs - targets) ** 2,
        train=(x, y),
        val=(x[::-1], y[::-1]),
        batch_size=32,
    )


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.05, 20.0])
def test_a_line_is_learned_or_diverges(rate):
    verdict = check(check_overfit_batch, line(rate))[0].verdict
    assert verdict is (Verdict.PASSED if rate < 1 else Verdict.FAILED)


@pytest.mark.slow
def test_few_that_diverge_while_all_learn_tell_nothing(monkeypatch):
    from jrecipe.checks import overfit_batch

    monkeypatch.setattr(overfit_batch, "_end", lambda arm: float("inf"))
    assert check(check_overfit_batch, line(0.05))[0].verdict is Verdict.SKIPPED
