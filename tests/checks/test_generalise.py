"""B13: loop, batch, jit, vmap and shards agree."""

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
    task,
    two_layers,
)

import jrecipe as jr
from jrecipe.checks.generalise import check_generalise, judge_generalise, max_disagreement
from jrecipe.checks.probing import disagreement
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(2)


@given(seed=st.integers(0, 999))
def test_a_pair_of_functions_is_held_against_each_other(seed):
    x, y = np.random.default_rng(seed).normal(size=(2, 6, 4)).astype(np.float32)
    one = lambda a, b: (a @ b, a + b)  # noqa: E731
    assert max_disagreement(one, lambda a, b: ((a * b).sum(1), a + b), x, y) < 1e-5
    assert max_disagreement(one, lambda a, b: ((a * b).sum(1), a - b), x, y) > 1e-2
    assert max_disagreement(one, lambda a, b: ((a * b).sum(0), a + b), x, y) == float("inf")


def test_disagreement_sees_shapes_structures_and_nan():
    x = np.array([1.0, np.nan])
    assert disagreement(x, x) == 0.0
    assert disagreement(x, np.array([1.0, 2.0])) == float("inf")
    assert disagreement({"a": x}, [x]) == float("inf")
    assert disagreement(np.zeros(2), np.zeros(2)) == 0.0


def squeezed(x, train):
    return jnp.squeeze(x) if x.shape[0] == 1 else x


def only_compiled(x, train):
    return x if isinstance(x, jax.core.Tracer) else 2 * x


def last_batch_axis(x, train):
    return x - x[-1:]


def centred_loss(outputs, targets):
    value = jr.losses.softmax_cross_entropy()(outputs, targets)
    return value - value.mean()


FAULTS = {
    "squeeze": (task(two_layers(between=lambda x, t: x - x.mean())), "batch-mixing", ""),
    "differs when compiled": (task(two_layers(between=only_compiled)), "vectorisation", "eager"),
    "wrong axis": (task(two_layers(after=last_batch_axis)), "batch-mixing", ""),
    "batch statistics": (task(batch_statistics), "eval-depends-on-batch", ""),
    "dropout on": (task(NormNet(always_drop=True)), "eval-not-deterministic", ""),
    "loss over the batch": (task(loss=centred_loss), "loss-depends-on-batch", ""),
}


@pytest.mark.thin(6)
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name):
    subject, cause, where = FAULTS[name]
    findings = check(check_generalise, subject)
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, cause)
    assert where in findings[0].suspects[0].where


def test_a_batch_of_one_that_loses_its_axis_is_named():
    findings = check(check_generalise, task(two_layers(after=squeezed)))
    assert (findings[0].verdict, first_cause(findings)) == (Verdict.FAILED, "vectorisation")
    assert findings[0].suspects[0].where == "batch against loop"


@pytest.mark.parametrize(
    "subject",
    [
        task(NormNet()),
        task(jr.models.MLP(CLASSES, width=16, dtype=jnp.bfloat16)),
        task(trainer=foreign()),
        task(two_layers(after=last_batch_axis), examples_independent=False),
    ],
    ids=["norm", "bfloat16", "foreign", "declared"],
)
def test_healthy_programs_are_silent(subject):
    finding = check(check_generalise, subject)[0]
    assert finding.verdict is Verdict.PASSED
    if not finding.evidence.get("loop_difference", 1) > 1e-3 and subject.trainer is None:
        forms = {key.removesuffix("_difference") for key in finding.evidence}
        assert {"loop", "losses in a loop", "eager", "vmap"} <= forms
        assert ("sharded" in forms) == (len(jax.devices()) > 1)


def test_the_judge_needs_numbers_only():
    assert judge_generalise(gaps={"loop": 1e-6}, tolerance=1e-4).verdict is Verdict.PASSED
    assert judge_generalise(gaps={"loop": 1e-2}, tolerance=1e-4).verdict is Verdict.FAILED
    assert judge_generalise(gaps={"loop": float("inf")}, tolerance=1).verdict is Verdict.FAILED
    apart = judge_generalise(gaps={"loop": 1.0, "eager": 0.0}, tolerance=1e-4, independent=False)
    assert apart.verdict is Verdict.PASSED
