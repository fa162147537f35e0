"""B1: equal seeds, equal runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import NormNet, check, digits, first_cause, foreign, task, two_layers

import jrecipe as jr
from jrecipe.checks.fixed_seed import (
    check_fixed_seed,
    first_difference,
    judge_fixed_seed,
    traces_alike,
)
from jrecipe.checks.result import Verdict


def noise(shape) -> np.ndarray:
    return np.random.normal(size=shape).astype(np.float32)


def noisy_step(x, train):
    return x + 1e-3 * noise(x.shape) if train else x


def noisy_augment(key, batch):
    return batch._replace(inputs=batch.inputs + 0.01 * noise(batch.inputs.shape))


def keyed_augment(key, batch):
    return batch._replace(inputs=batch.inputs + 0.01 * jax.random.uniform(key, batch.inputs.shape))


class NoisySource:
    def __init__(self, noisy: bool):
        self.noisy = noisy

    def __len__(self) -> int:
        return 400

    def take(self, rows):
        x, y = digits()
        return (x[rows] + noise(x[rows].shape) if self.noisy else x[rows]), y[rows]


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("subject", "component"),
    [
        (task(trainer=foreign(noise=True)), "step"),
        (task(two_layers(between=noisy_step)), "step"),
        (task(augment=noisy_augment), "augmentation"),
        (task(train=NoisySource(noisy=True)), "data"),
    ],
)
def test_hidden_randomness_is_found_and_placed(subject, component):
    findings = check(check_fixed_seed, subject)
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, "hidden-randomness")
    assert findings[0].suspects[0].component == component


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    "subject",
    [
        task(trainer=foreign()),
        task(augment=keyed_augment),
        task(NormNet()),
        task(train=NoisySource(noisy=False)),
    ],
)
def test_honest_randomness_is_silent(subject):
    assert check(check_fixed_seed, subject)[0].verdict is Verdict.PASSED


def test_the_leaf_and_size_of_a_difference_are_named():
    a = [{"w": np.zeros(3), "b": np.zeros(2)}, {"w": np.ones(3), "b": np.array([1.0, np.nan])}]
    b = [
        {"w": np.zeros(3), "b": np.zeros(2)},
        {"w": np.array([1, 1, 1.5]), "b": np.array([1.0, np.nan])},
    ]
    assert first_difference(a, a) is None
    assert first_difference(a, b) == (1, "['w']", 0.5)
    finding = judge_fixed_seed(difference=(1, "['w']", 0.5))
    assert "after update 1, most in ['w'] (by 0.5)" in finding.finding


def test_rounding_passes_only_where_bits_are_not_promised():
    difference = (2, "w", 1e-7)
    assert judge_fixed_seed(difference=difference, exact=True).verdict is Verdict.FAILED
    assert judge_fixed_seed(difference=difference, exact=False).verdict is Verdict.PASSED
    assert judge_fixed_seed(difference=(2, "w", 0.1), exact=False).verdict is Verdict.FAILED


def test_traces_show_constants_inside_nested_functions():
    inner = lambda make: jax.jit(lambda x: x + jnp.asarray(make()))  # noqa: E731
    assert traces_alike(lambda x: inner(lambda: np.ones(3))(x), jnp.zeros(3))
    assert not traces_alike(lambda x: inner(lambda: noise(3))(x), jnp.zeros(3))
    assert not traces_alike(lambda x: inner(lambda: float(noise(())))(x), jnp.zeros(3))
    assert traces_alike(lambda x: jax.nn.relu(x) * jr.__version__.count("."), jnp.zeros(3))
