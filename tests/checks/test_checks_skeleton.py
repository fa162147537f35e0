"""The skeleton checks on whole programs: silent on healthy ones, the right cause on planted faults.

The default run takes a few programs from each kind; `-m 'slow or exhaustive'` takes all of them, in
as many seeds as JRECIPE_SEEDS says (1).
"""

from __future__ import annotations

import os

import jax
import numpy as np
import optax
import pytest
import skeleton_programs as programs

import jrecipe as jr
from jrecipe.checks.context import Context
from jrecipe.checks.registry import CHECKS, run_checks, select
from jrecipe.checks.result import Finding, Suspect, Verdict

pytestmark = pytest.mark.thin(3)

QUICK_HEALTHY = ("regress", "foreign-loop")
QUICK_FAULTS = (
    "relu-on-targets-below-0",
    "coupled-decay-10",
    "normal-init",
    "mean-over-classes",
    "double-softmax",
    "leaked-label",
    "human-shuffled",
    "update-discarded",
    "wrong-sign",
    "labels-shuffled",
    "loss-clipped",
)
SLOW = pytest.mark.slow
SEEDS = range(int(os.environ.get("JRECIPE_SEEDS", "1")))
STRIDE = int(os.environ.get("JRECIPE_STRIDE", "2"))  # 1 takes every program


def assert_silent(name: str, seed: int) -> None:
    findings = programs.findings_of(programs.HEALTHY[name](seed), seed)
    assert [str(finding) for finding in programs.alarms(findings)] == []


def assert_caught(name: str, seed: int, *, alone: bool = False) -> None:
    program, item, causes, component = programs.FAULTS[name]
    findings = programs.findings_of(program(seed), seed, (item,) if alone else programs.OWN)
    found = {finding.item: finding for finding in programs.alarms(findings)}
    assert item in found, [str(finding) for finding in findings]
    first = found[item].suspects[0]
    assert first.cause in causes, found[item]
    assert first.component == component
    assert found[item].remedy


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK_HEALTHY)
def test_healthy_programs_raise_no_alarm(name):
    assert_silent(name, 0)


@pytest.mark.slow
@pytest.mark.thin(12)
@pytest.mark.parametrize("name", QUICK_FAULTS)
def test_planted_faults_are_named(name):
    assert_caught(name, 0, alone=True)


@pytest.mark.exhaustive
@SLOW
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(programs.HEALTHY)[::STRIDE])
def test_every_healthy_program_raises_no_alarm(name, seed):
    assert_silent(name, seed)


@pytest.mark.exhaustive
@SLOW
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", list(programs.FAULTS)[::STRIDE])
def test_every_planted_fault_is_named(name, seed):
    assert_caught(name, seed)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_findings_repeat_and_do_not_depend_on_the_order_of_the_checks():
    task = programs.foreign(programs.classify(0))
    before = jax.tree.map(np.copy, (task.train.take(np.arange(9)), task.val.take(np.arange(9))))
    checks = select(("B2", "B5", "B7", "B8", "B11"))
    one = run_checks(Context(task, 3), checks)
    other = run_checks(Context(task, 3), checks[::-1])[::-1]
    for a, b in zip(one, other, strict=True):
        assert (a.item, a.verdict, a.finding, dict(a.evidence)) == (
            b.item,
            b.verdict,
            b.finding,
            dict(b.evidence),
        )
    after = (task.train.take(np.arange(9)), task.val.take(np.arange(9)))
    jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.slow
def test_training_cut_short_by_its_budget_is_not_blamed_on_the_task(monkeypatch):
    monkeypatch.setattr("jrecipe.checks.context._EFFORT", {"quick": (300, 0.0), "full": (300, 0.0)})
    task = programs.foreign(programs.classify(0), rate=1e-4)
    findings = programs.findings_of(task)
    assert programs.alarms(findings) == []
    assert {f.item for f in findings if f.verdict is Verdict.SKIPPED} >= {"B7", "B8"}


def explode(outputs, targets):
    raise RuntimeError("the user's own mistake")


@pytest.mark.parametrize("place", ["loss", "step"])
def test_an_exception_of_the_task_becomes_a_finding_with_its_line(place):
    task = programs.classify(0)
    if place == "loss":
        task = task.replace(loss=explode)
        item = "B4"
    else:
        task = programs.foreign(task)
        broken = lambda state, batch, key: explode(batch, key)  # noqa: E731
        trainer = jr.Trainer(task.trainer.init, broken, task.trainer.predict, task.trainer.params)
        task = task.replace(trainer=trainer)
        item = "B8"
    (finding,) = run_checks(Context(task), select((item,)))
    assert (finding.item, finding.verdict) == (item, Verdict.FAILED)
    assert finding.suspects[0].cause == "raises"
    assert finding.suspects[0].where.startswith("test_checks_skeleton.py:")
    assert "the user's own mistake" in finding.finding


def test_checks_are_selected_by_item_name_and_stage():
    assert [check.item for check in select(("b4", "Overfit-One-Batch"))] == ["B4", "B8"]
    assert {check.item for check in select(stage="inspect")} == {"A1", "A2", "A3", "A4", "A5", "G7"}
    assert select() == CHECKS
    with pytest.raises(jr.TaskError, match=r"no check 'B99'; there are A1"):
        select(("B99",))


def test_silencing_takes_the_alarm_and_an_unknown_code_is_an_error():
    task = programs.classify(0, human=(np.arange(60), (programs.digits(0)[1][1][:60] + 1) % 10))
    checks = select(("B6",))
    (loud,) = run_checks(Context(task), checks)
    assert loud.suspects[0].cause == "human-disagrees"
    (quiet,) = run_checks(Context(task), checks, ignore=("human-disagrees",))
    assert (quiet.verdict, quiet.suspects, quiet.remedy) == (Verdict.SKIPPED, (), "")
    assert "human-disagrees" in quiet.finding
    assert run_checks(Context(task), checks, ignore=("B6",)) == ()
    (still,) = run_checks(Context(task), checks, ignore=("imbalance",))
    assert still == loud
    with pytest.raises(jr.TaskError, match="ignore has 'no-such-cause'"):
        run_checks(Context(task), checks, ignore=("no-such-cause",))


def test_a_suspect_is_from_the_documented_list():
    with pytest.raises(ValueError, match="add it there"):
        Suspect(cause="bad-luck", component="model")
    with pytest.raises(ValueError, match="none of"):
        Suspect(cause="imbalance", component="weather")
    assert Finding(item="B4", check="x", verdict=Verdict.WARNED, finding="y").ok


@pytest.mark.slow
def test_the_arms_see_what_their_names_say():
    task = programs.classify(0, optimizer=optax.sgd(0.05))
    arms = Context(task).controls.arms
    assert np.allclose(arms["blank"].probe[-1], arms["blank"].probe[-1][:1], atol=1e-5)
    assert not np.allclose(arms["real"].probe[-1], arms["real"].probe[-1][:1], atol=1e-2)
    np.testing.assert_array_equal(arms["real"].train_start, arms["rate/10"].train_start)
    moved = {name: sum(arm.moved.values()) for name, arm in arms.items()}
    assert moved["rate/100"] < moved["rate/10"] < moved["real"]
    assert arms["few"].few.mean() < 0.5 * arms["few"].few_start.mean()
    assert arms["shuffled"].val.mean() > arms["real"].val.mean()
