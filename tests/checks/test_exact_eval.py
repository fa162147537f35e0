"""B3: evaluation is exact, repeatable and independent of the batch."""

import jax.numpy as jnp
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
    task,
    two_layers,
)

import jrecipe as jr
from jrecipe.checks.exact_eval import Repeats, batch_sizes, check_exact_eval, judge_exact_eval
from jrecipe.checks.result import Verdict


def centred_loss(outputs, targets):
    value = jr.losses.softmax_cross_entropy()(outputs, targets)
    return value - value.mean()


FAULTS = {
    "dropout on": (task(NormNet(always_drop=True)), "eval-not-deterministic"),
    "a foreign noise": (task(trainer=foreign(noisy_eval=True)), "eval-not-deterministic"),
    "batch statistics": (task(batch_statistics), "eval-depends-on-batch"),
    "reshape": (
        task(two_layers(between=lambda x, train: x.reshape(x.shape[1], x.shape[0]).T)),
        "batch-mixing",
    ),
    "loss over the batch": (task(loss=centred_loss), "loss-depends-on-batch"),
}


@pytest.mark.slow
@pytest.mark.thin(5)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name):
    subject, cause = FAULTS[name]
    findings = check(check_exact_eval, subject)
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, cause)


@pytest.mark.thin(4)
@pytest.mark.parametrize(
    "subject",
    [
        task(NormNet()),
        task(jr.models.MLP(CLASSES, width=16, dtype=jnp.bfloat16), batch_size=7),
        task(trainer=foreign()),
        task(loss=centred_loss, examples_independent=False),
    ],
    ids=["norm", "zero head, bfloat16", "foreign", "declared"],
)
def test_healthy_programs_are_silent(subject):
    finding = check(check_exact_eval, subject)[0]
    assert finding.verdict is Verdict.PASSED
    assert finding.evidence["examples"] == 150
    if subject.examples_independent:
        assert finding.evidence["loss_with_other_batches"] != 0


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_second_batch_size_is_odd_and_smaller(batch_size, n):
    large, small = batch_sizes(batch_size, n)
    assert 1 <= small <= large <= min(batch_size, n)
    assert small % 2 == 1
    assert small < large or large == 1


def numbers(**changes) -> Repeats:
    fields = {
        "loss": 2.3026,
        "stderr": 0.0213,
        "n": 150,
        "sizes": (32, 21),
        "other_loss": 2.3026,
        "batch_average": 2.31,
        "outputs": 1e-6,
        "losses": 1e-6,
        "repeated": 0.0,
        "keys": 0.0,
    }
    return Repeats(**{**fields, **changes})


def test_the_judge_needs_numbers_only():
    passed = judge_exact_eval(numbers(), tolerance=1e-4)
    assert passed.verdict is Verdict.PASSED
    assert "2.303 +- 0.021 on 150 examples" in passed.finding
    for change, cause in [
        ({"outputs": 0.01}, "eval-depends-on-batch"),
        ({"losses": 0.01}, "loss-depends-on-batch"),
        ({"repeated": 0.01, "outputs": 0.01}, "eval-not-deterministic"),
        ({"keys": 0.01}, "eval-not-deterministic"),
    ]:
        found = judge_exact_eval(numbers(**change), tolerance=1e-4)
        assert found.suspects[0].cause == cause
    assert judge_exact_eval(numbers(outputs=0.01), tolerance=0.1).verdict is Verdict.PASSED
