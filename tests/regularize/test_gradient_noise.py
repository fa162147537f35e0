"""Noise on gradients has the variance it says, fades, and is a function of seed and update."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_identical, small
from strategies import seeds

import jrecipe as jr
from jrecipe.regularize import gradient_noise
from jrecipe.regularize.gradient_noise import NoiseState

GRADS = {"a": jnp.full((60, 50), 2.0), "b": jnp.full((60, 50), -1.0)}


def noise_at(tx, step: int) -> dict:
    updates, state = tx.update(GRADS, NoiseState(jnp.int32(step)))
    assert int(state.count) == step + 1
    return jax.tree.map(lambda u, g: np.asarray(u - g, np.float64), updates, GRADS)


@given(seed=seeds, eta=st.sampled_from((0.01, 1.0)), step=st.sampled_from((0, 1, 99)))
def test_mean_and_variance_are_those_of_the_paper(seed, eta, step):
    noise = noise_at(gradient_noise(eta, 0.55, seed), step)
    variance = eta / (1 + step) ** 0.55
    values = np.concatenate([x.ravel() for x in noise.values()])
    n = values.size
    assert abs(values.mean()) < 5 * (variance / n) ** 0.5
    assert abs(values.var() / variance - 1) < 5 * (2 / n) ** 0.5
    between = np.corrcoef(noise["a"].ravel(), noise["b"].ravel())[0, 1]
    assert abs(between) < 5 / (n / 2) ** 0.5  # each parameter has draws of its own


@given(seed=seeds)
def test_the_noise_is_a_function_of_seed_and_update(seed):
    tx = gradient_noise(0.1, seed=seed)
    assert_identical(noise_at(tx, 3), noise_at(gradient_noise(0.1, seed=seed), 3))
    for other in (noise_at(tx, 4), noise_at(gradient_noise(0.1, 0.55, seed + 1), 3)):
        assert abs(np.corrcoef(other["a"].ravel(), noise_at(tx, 3)["a"].ravel())[0, 1]) < 0.1


def test_no_noise_changes_nothing_and_dtypes_stay():
    assert_identical(gradient_noise(0.0).update(GRADS, NoiseState(jnp.int32(0)))[0], GRADS)
    half = {"a": jnp.ones((4, 4), jnp.bfloat16)}
    tx = gradient_noise(0.1)
    assert tx.update(half, tx.init(half))[0]["a"].dtype == jnp.bfloat16


def test_the_variances_are_those_of_optax():
    own, theirs = gradient_noise(0.5, 0.3), optax.add_noise(0.5, 0.3, key=0)
    states = [tx.init(GRADS) for tx in (own, theirs)]
    for _ in range(3):
        spreads = []
        for i, tx in enumerate((own, theirs)):
            updates, states[i] = tx.update(GRADS, states[i])
            spreads.append(float(jnp.std(updates["a"])))
        np.testing.assert_allclose(spreads[0], spreads[1], rtol=0.1)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_resumed_run_draws_what_it_would_have_drawn(tmp_path):
    task = small(optimizer=optax.chain(gradient_noise(0.1), optax.adam(1e-2)))
    whole = jr.fit(task, 12, eval_every=4, progress=False)
    jr.fit(task, 5, eval_every=4, progress=False, out=tmp_path)
    resumed = jr.fit(task, 12, eval_every=4, progress=False, out=tmp_path, resume=True)
    assert_identical(resumed.state, whole.state)


@pytest.mark.parametrize(("eta", "gamma", "name"), [(-1.0, 0.5, "eta"), (0.1, -0.5, "gamma")])
def test_bad_arguments_say_what_to_do(eta, gamma, name):
    with pytest.raises(jr.TaskError, match=f"gradient_noise needs a finite {name} >= 0, got"):
        gradient_noise(eta, gamma)
