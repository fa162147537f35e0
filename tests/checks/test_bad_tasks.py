"""Whatever a task does, `jr.check` gives a report; no check raises, and the line is named."""

import copy
import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skeleton_programs import Net, classify, foreign

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.registry import CHECKS, run_checks
from jrecipe.checks.result import Verdict

pytestmark = pytest.mark.thin(20)


def small(**changes):
    """A task on which everything is quick, though it still learns."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 6)).astype(np.float32)
    y = (x[:, 0] + 0.3 * x[:, 1] > 0).astype(np.int32)
    base = {
        "model": Net(2, hidden=(8,)),
        "loss": jr.losses.softmax_cross_entropy(),
        "train": (x[:64], y[:64]),
        "val": (x[64:], y[64:]),
        "optimizer": optax.adam(1e-2),
        "batch_size": 8,
    }
    return jr.Task(**{**base, **changes})


def explode(*args, **options):
    raise RuntimeError("the user's own mistake")


def with_trainer(**parts):
    task = foreign(small())
    return task.replace(trainer=dataclasses.replace(task.trainer, **parts(task.trainer)))


def raising_step(trainer):
    return {"step": lambda state, batch, key: explode()}


def no_metrics(trainer):
    return {"step": lambda state, batch, key: trainer.step(state, batch, key)[0]}


def nothing(trainer):
    return {"step": lambda state, batch, key: None}


def not_finite_step(trainer):
    def step(state, batch, key):
        state, metrics = trainer.step(state, batch, key)
        state.params = jax.tree.map(lambda x: x * np.nan, state.params)
        return state, metrics

    return {"step": step}


def wrong_shape(trainer):
    return {"predict": lambda state, inputs: trainer.predict(state, inputs)[:, :1]}


def transposed(trainer):
    return {"predict": lambda state, inputs: trainer.predict(state, inputs).T}


def raising_init(trainer):
    return {"init": lambda key: explode()}


def raising_params(trainer):
    return {"params": lambda state: explode()}


class Unreadable:
    """A source whose later rows cannot be read."""

    def __len__(self):
        return 64

    def take(self, rows):
        if max(rows) > 8:
            explode()
        return np.ones((len(rows), 6), np.float32), np.zeros(len(rows), np.int32)


def raising_model(inputs):
    return jr.Model(lambda key, x: ({"w": jnp.ones((6, 2))}, {}), explode)


TRAINERS = (
    raising_step,
    no_metrics,
    nothing,
    not_finite_step,
    wrong_shape,
    transposed,
    raising_init,
    raising_params,
)
OWN = {
    "loss": lambda: small(loss=explode),
    "metric": lambda: small(metric=explode),
    "augment": lambda: small(augment=explode),
    "model": lambda: small(model=raising_model(None)),
    "optimizer": lambda: small(
        optimizer=optax.GradientTransformation(lambda params: optax.EmptyState(), explode)
    ),
    "nan-inputs": lambda: small(train=(np.full((64, 6), np.nan, np.float32), np.zeros(64, int))),
    "nan-model": lambda: small(model=Net(2, hidden=(8,), last=lambda x: x / 0.0)),
    "scalar-loss": lambda: small(loss=lambda o, t: jnp.mean((o[:, 0] - t) ** 2)),
}


COMPONENTS = {
    "loss": "loss",
    "metric": "eval",
    "augment": "augmentation",
    "model": "model",
    "optimizer": "optimizer",
}


def lines_of(*functions):
    """Returns the lines of this file that functions span."""
    found = set()
    for function in functions:
        source, start = inspect.getsourcelines(function)
        found |= set(range(start, start + len(source)))
    return found


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("broken", TRAINERS, ids=lambda f: f.__name__)
def test_a_broken_trainer_becomes_findings(broken):
    task = foreign(small())
    task = task.replace(trainer=dataclasses.replace(task.trainer, **broken(task.trainer)))
    report = jr.check(task)
    assert not report.ok
    assert report.likeliest() is not None
    if broken in (raising_step, raising_init, raising_params):
        raised = [f for f in report.findings if f.suspects and f.suspects[0].cause == "raises"]
        file, line = raised[0].suspects[0].where.split(":")
        assert file == "test_bad_tasks.py"
        assert int(line) in lines_of(explode, broken)
        assert "the user's own mistake" in raised[0].finding


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_a_broken_task_becomes_findings(name):
    report = jr.check(OWN[name]())
    assert not report.ok or name == "metric"
    alarms = [f for f in report.findings if f.verdict in (Verdict.FAILED, Verdict.WARNED)]
    assert alarms
    assert all(finding.finding and finding.suspects for finding in alarms)
    if name in ("loss", "augment", "model", "optimizer", "metric"):
        raised = [f.suspects[0] for f in alarms if "test_bad_tasks.py:" in f.suspects[0].where]
        assert {suspect.component for suspect in raised} == {COMPONENTS[name]}


@pytest.mark.exhaustive
@pytest.mark.slow
@settings(max_examples=2)
@given(st.permutations(CHECKS))
def test_the_order_of_the_checks_changes_nothing(order):
    task = foreign(small())
    before = copy.deepcopy((task.train.take(np.arange(9)), task.val.take(np.arange(9))))
    assert_the_same_in(task, order)
    after = (task.train.take(np.arange(9)), task.val.take(np.arange(9)))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.exhaustive
@pytest.mark.slow
@settings(max_examples=3)
@given(st.permutations(CHECKS), st.integers(0, 9))
def test_the_order_of_the_checks_changes_nothing_for_own_training(order, seed):
    assert_the_same_in(classify(seed), order)


def assert_the_same_in(task, order):
    """Runs the checks in two orders and compares all they say."""
    told = {}
    for checks in (CHECKS, order):
        for finding in run_checks(Context(task, 3), checks):
            told.setdefault(finding.check, []).append(
                (finding.verdict, finding.finding, repr(finding.suspects), repr(finding.evidence))
            )
    for name, rows in told.items():
        half = len(rows) // 2
        assert rows[:half] == rows[half:], name


def test_a_source_that_cannot_be_read_is_a_finding():
    task = small(train=Unreadable())
    report = jr.check(task, only=("A1", "A2", "B4"))
    assert {f.verdict for f in report.findings} == {Verdict.FAILED}
    assert all("the user's own mistake" in f.finding for f in report.findings)
