"""B12: isolation of examples and causality, by replacing inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import (
    CLASSES,
    NormNet,
    batch_statistics,
    check,
    first_cause,
    foreign,
    language_model,
    plain_norm,
    sequence_task,
    task,
    two_layers,
)

import jrecipe as jr
from jrecipe.checks.causal import judge_causal, target_relation
from jrecipe.checks.context import Context
from jrecipe.checks.dependencies import (
    Isolation,
    check_dependencies,
    dependency_map,
    isolation,
    judge_dependencies,
    measure_isolation,
)
from jrecipe.checks.isolation import example_map, replacements, schedule
from jrecipe.checks.result import Verdict


@given(st.integers(2, 70), st.integers(2, 3))
def test_the_schedule_decides_every_ordered_pair(n, versions):
    taken = schedule(n, versions)
    assert not taken[0].any()
    assert taken.max() == versions - 1
    same = taken[:, None] == taken[None]  # [pass, pass, example]
    decided = np.einsum("pqi,pqj->ij", same.astype(int), (~same).astype(int)) > 0
    assert np.array_equal(decided, ~np.eye(n, dtype=bool))


def test_six_passes_decide_32_examples_and_two_values_take_seven():
    assert len(schedule(32, 3)) == 6
    assert len(schedule(32, 2)) == 7


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    ("subject", "passes"),
    [
        ("plain", 7),  # training runs the program of evaluation
        ("BatchNorm and dropout", 9),
        ("noise in training", 13),
        ("a foreign trainer", 7),  # has no training mode to ask
    ],
)
def test_what_isolation_costs(subject, passes):
    subjects = HEALTHY | {
        "noise in training": task(two_layers(between=lambda x, train: x * 1.01 if train else x))
    }
    found = measure_isolation(Context(subjects[subject], 0))
    assert found.n == 32
    assert found.passes == passes


def test_replacements_differ_where_they_can():
    x = np.arange(4.0)
    once, twice = replacements(x, np.array([0.0, 1.0, 7.0, 8.0]))
    assert all(len({*row}) == 3 for row in zip(x, once, twice, strict=True))
    bits = np.array([0.0, 1.0, 0.0, 1.0])
    (flipped,) = replacements(bits, bits)
    assert np.array_equal(flipped, 1 - bits)
    # Rows that differ in inputs and targets go before those that differ in one of them.
    pair = (np.arange(4.0), np.array([0, 0, 1, 1]))
    for moved in replacements(pair, pair)[:1]:
        assert (moved[0] != pair[0]).all()
        assert (moved[1] != pair[1]).all()


@given(
    pair=st.tuples(st.integers(0, 31), st.integers(0, 31)),
    seed=st.integers(0, 99),
    versions=st.integers(2, 3),
)
def test_a_leak_between_one_pair_is_always_found(pair, seed, versions):
    i, j = pair
    rng = np.random.default_rng(seed)
    x, *others = rng.normal(size=(versions, 32, 3)).astype(np.float32)
    other = others[0]
    # Through stop_gradient and a rounding, where derivatives are blind.
    leak = lambda x: x.at[j].add(0.01 * jnp.round(10 * jax.lax.stop_gradient(x[i]))) * 2  # noqa: E731
    broken = isolation(leak, x, *others)
    assert broken.tolist() == [i != j and row == j for row in range(32)]
    if i != j:
        reached = np.argwhere(example_map(leak, x, other) & ~np.eye(32, dtype=bool))
        assert reached.tolist() == [[i, j]]


def test_dependency_map_of_any_two_axes():
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    shift = lambda x: jnp.swapaxes(x, 1, 2)[..., ::-1]  # noqa: E731
    assert np.array_equal(
        dependency_map(shift, x, 1, 2, others=x + 1), np.eye(5)[::-1].astype(bool)
    )
    with pytest.raises(ValueError, match="axis 4"):
        dependency_map(shift, x, 4, 1, others=x)


def batch_softmax(x, train):
    return jax.nn.softmax(x, axis=0)


def reshaped(x, train):
    return x.reshape(x.shape[1], x.shape[0]).T


def wrong_loss(outputs, targets):
    return jnp.mean((outputs[:, :1] - targets[None, :].astype(jnp.float32)) ** 2, axis=-1)


def right_loss(outputs, targets):
    return jnp.mean((outputs[:, :1] - targets[:, None].astype(jnp.float32)) ** 2, axis=-1)


def pairwise_loss(outputs, targets):
    return (outputs[:, :1] - targets[None, :].astype(jnp.float32)) ** 2


def contrastive(outputs, targets):
    similar = outputs @ outputs.T
    return jax.nn.logsumexp(similar, axis=1) - jnp.diagonal(similar)


FAULTS = {
    "softmax over the batch": (task(two_layers(after=batch_softmax)), "batch-mixing", "axis 0"),
    "reshape for transpose": (task(two_layers(between=reshaped)), "batch-mixing", "example"),
    "centred over the batch": (
        task(two_layers(between=lambda x, train: x - x.mean(axis=0, keepdims=True))),
        "batch-mixing",
        "every example",
    ),
    "mixing in training only": (
        task(two_layers(between=lambda x, train: x + jnp.roll(x, 1, 0) if train else x)),
        "batch-mixing",
        "training mode",
    ),
    "mixing behind BatchNorm": (task(NormNet(mix_in_training=True)), "batch-mixing", "training"),
    "batch statistics in evaluation": (
        task(batch_statistics),
        "eval-depends-on-batch",
        "batch statistics",
    ),
    "(n, 1) with (n,), averaged": (task(loss=wrong_loss), "loss-depends-on-batch", "example"),
    "(n, 1) with (n,)": (task(loss=pairwise_loss), "loss-depends-on-batch", "(32, 32)"),
}


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_mixture_is_caught(name):
    subject, cause, where = FAULTS[name]
    findings = check(check_dependencies, subject)
    assert findings[0].verdict is Verdict.FAILED
    assert first_cause(findings) == cause
    assert where in findings[0].suspects[0].where


HEALTHY = {
    "plain": task(),
    "softmax over classes": task(two_layers(after=lambda x, train: jax.nn.softmax(x, axis=-1))),
    "zero-initialised head": task(jr.models.MLP(CLASSES, width=16)),
    "BatchNorm and dropout": task(NormNet()),
    "BatchNorm in a plain function": task(plain_norm()),
    "a loss of one's own": task(loss=right_loss),
    "contrastive, declared": task(loss=contrastive, examples_independent=False),
    "a foreign trainer": task(trainer=foreign()),
    "last axis flattened away": task(two_layers(after=lambda x, train: x[:, 0]), jr.losses.l2()),
}


@pytest.mark.thin(5)
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_programs_are_silent(name):
    findings = check(check_dependencies, HEALTHY[name])
    assert [finding.verdict for finding in findings] == [Verdict.PASSED], findings[0]


def test_an_undeclared_contrastive_loss_is_named():
    findings = check(check_dependencies, task(loss=contrastive))
    assert first_cause(findings) == "loss-depends-on-batch"


def test_a_network_that_ignores_its_inputs_is_named():
    one_unit = two_layers(after=lambda x, train: jax.nn.softmax(x[:, :1], axis=-1))
    findings = check(check_dependencies, task(one_unit, loss=right_loss))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.WARNED, "inputs-ignored")


def test_noisy_evaluation_is_not_blamed_on_inputs():
    findings = check(check_dependencies, task(trainer=foreign(noisy_eval=True)))
    assert findings[0].verdict is Verdict.SKIPPED


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    ("see", "shift", "verdict", "where"),
    [
        ("past", 1, Verdict.PASSED, ""),
        ("before", 0, Verdict.PASSED, ""),
        ("one ahead", 1, Verdict.FAILED, "input 1 -> output 0"),
        ("all", 1, Verdict.FAILED, "input 1 -> output 0"),
        ("past", 0, Verdict.FAILED, "input 0 -> output 0"),
        ("past", -1, Verdict.FAILED, "shifted by -1"),
    ],
)
def test_an_autoregressive_model_sees_the_past_only(see, shift, verdict, where):
    findings = check(check_dependencies, sequence_task(language_model(see), shift))
    assert findings[0].verdict is verdict
    if verdict is Verdict.FAILED:
        assert first_cause(findings) == "causal-leak"
        assert where in findings[0].suspects[0].where
    else:
        assert len(findings) == 2


def test_an_axis_that_outputs_lack_is_skipped():
    findings = check(check_dependencies, sequence_task(language_model(), causal_axis=2))
    assert findings[0].verdict is Verdict.SKIPPED


def test_relation_of_targets_to_one_hot_inputs():
    ids = np.random.default_rng(0).integers(0, 5, (4, 8))
    hot = np.eye(5, dtype=np.float32)[ids]
    assert target_relation(hot, ids, 1) == "same"
    assert target_relation(hot[:, :-1], ids[:, 1:], 1) == "next"
    assert target_relation(hot, ids[::-1], 1) == "other"


def test_judges_need_numbers_only():
    mixed = Isolation(n=4, passes=9, evaluation="outputs", pairs=np.ones((4, 4), bool), size=0.5)
    assert judge_dependencies(mixed, independent=False).verdict is Verdict.PASSED
    failed = judge_dependencies(mixed, independent=True)
    assert failed.verdict is Verdict.FAILED
    assert failed.figures[0].values.shape == (4, 4)
    clean = Isolation(n=4, passes=9, evaluation="none", training="none", ignored=True)
    assert judge_dependencies(clean, independent=True).verdict is Verdict.WARNED
    assert judge_dependencies(clean, independent=True, warn_ignored=False).verdict is Verdict.PASSED
    assert judge_causal(length=4, relation="other", leak=None, ignored=True).suspects
