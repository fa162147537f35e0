"""The monitor and the checks of a run: silent on healthy runs, loud on failing ones."""

import dataclasses

import jax
import numpy as np
import optax
import pytest
import skeleton_programs as programs

import jrecipe as jr
from jrecipe.checks.after import calibration, judge_calibration, judge_gap, judge_restored
from jrecipe.checks.during import Course, died_at, judge_course
from jrecipe.checks.result import Verdict
from jrecipe.train.monitor import noise_scale

STEPS = np.array([0, 100, 200, 300, 400])


@pytest.fixture
def often(monkeypatch):
    """Lets the monitor look every 100 updates, whatever that takes: these runs are over at once."""
    monkeypatch.setattr("jrecipe.train.monitor.SHARE", 1e9)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize(("least", "steps"), [(0.0, [0, 120]), (1e9, [0, 120, 240, 360])])
def test_looking_keeps_to_its_share_of_the_time(monkeypatch, least, steps):
    monkeypatch.setattr("jrecipe.train.monitor.SHARE", 0.0)
    monkeypatch.setattr("jrecipe.train.monitor.LEAST", least)
    watched = jr.fit(programs.classify(0), 400, monitor=True).monitor
    assert [look.step for look in watched.looks] == steps


def course(**changes):
    base = {
        "steps": STEPS,
        "planned": 400,
        "ratios": np.full(5, 1e-3),
        "layers": {},
        "dead": {"a/kernel": 0.1},
        "noise_scale": 100.0,
        "batch_size": 32,
        "wasted": 0.1,
        "val": np.array([2.3, 1.0, 0.5]),
        "start": 2.3,
    }
    return Course(**{**base, **changes})


FAILING = {"val": np.array([2.3, 2.3, 2.4])}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"ratios": np.array([1e-3, 1e-9, 1e-9, 1e-9, 1e-9])}, "schedule-ends-early"),
        ({"ratios": np.full(5, 0.5), **FAILING}, "learning-rate-too-high"),
        ({"dead": {"a/kernel": 1.0}, **FAILING}, "dead-units"),
    ],
    ids=["dies", "wild", "dead"],
)
def test_a_failing_course_is_named(changes, cause):
    (finding,) = judge_course(course(**changes))
    assert finding.verdict is Verdict.WARNED
    assert finding.suspects[0].cause == cause


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ratios": np.array([1e-3, 1e-3, 1e-3, 1e-4, 1e-9])},  # a schedule to zero at the end
        {"ratios": np.full(5, 0.5)},  # wild, but it learns
        {"dead": {"a/kernel": 1.0}},
        {"ratios": np.array([1e-7, 1e-4, 1e-3, 1e-3, 1e-3])},  # warm-up
        {"ratios": np.full(5, np.nan), "noise_scale": float("nan")},
    ],
    ids=["plain", "decayed", "wild", "dead", "warm-up", "unknown"],
)
def test_a_learning_course_is_left_alone(changes):
    (finding,) = judge_course(course(**changes))
    assert finding.verdict is Verdict.PASSED


def test_where_a_rate_dies():
    assert died_at(STEPS, np.array([1e-3, 1e-3, 1e-9, 1e-3, 1e-9])) == 400
    assert died_at(STEPS, np.full(5, 1e-3)) is None


def test_noise_scale_of_known_gradients():
    rng = np.random.default_rng(0)
    true, sigma, size = np.ones(2000), 2.0, 32
    squared, half = [], []
    for _ in range(50):
        a, b = true + sigma / np.sqrt(size / 2) * rng.normal(size=(2, 2000))
        squared.append(np.sum(((a + b) / 2) ** 2))
        half.append((np.sum(a**2) + np.sum(b**2)) / 2)
    # tr(covariance) / |G|^2 = sigma^2 here.
    assert noise_scale(np.mean(squared), np.mean(half), size) == pytest.approx(4.0, rel=0.05)
    assert np.isnan(noise_scale(1.0, 1.0, 1))


def test_gap_and_too_good_validation():
    judge = lambda **kw: judge_gap(**{"constant": 2.3, **kw})  # noqa: E731
    assert judge(train=(0.1, 0.01), val=(0.5, 0.02)).verdict is Verdict.PASSED
    better = judge(train=(0.5, 0.01), val=(0.1, 0.01))
    assert better.suspects[0].cause == "val-better-than-train"
    assert judge(train=(0.5, 0.01), val=(0.1, 0.01), label_noise=0.2).verdict is Verdict.PASSED
    assert judge(train=(0.5, 0.3), val=(0.1, 0.01)).verdict is Verdict.PASSED
    over = judge(train=(0.1, 0.01), val=(4.0, 0.1))
    assert over.suspects[0].cause == "overfitting"
    assert judge(train=(0.1, 0.01), val=(4.0, 0.1), constant=None).verdict is Verdict.PASSED
    assert judge(train=(np.nan, 0.1), val=(4.0, 0.1)).verdict is Verdict.SKIPPED


def test_calibration_of_drawn_answers():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1.0, 4000)
    honest = rng.random(4000) < sure
    error, chance, _ = calibration(sure, honest)
    assert error < 2 * chance
    options = {"accuracy": 0.75, "confidence": 0.75, "n": 4000}
    assert judge_calibration(error=error, chance=chance, **options).verdict is Verdict.PASSED
    error, chance, _ = calibration(np.full(4000, 0.99), honest)
    assert judge_calibration(error=error, chance=chance, **options).verdict is Verdict.WARNED


def test_the_state_kept_has_to_score_what_it_scored():
    assert judge_restored(kept=0.5, recorded=0.5, reloaded=None).verdict is Verdict.PASSED
    assert judge_restored(kept=0.9, recorded=0.5, reloaded=None).verdict is Verdict.FAILED
    wrong = judge_restored(kept=0.5, recorded=0.5, reloaded=0.7)
    assert (wrong.verdict, wrong.suspects[0].where) == (Verdict.FAILED, "checkpoint")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_monitor_changes_nothing_and_a_healthy_run_passes(tmp_path, often):
    task = programs.classify(0)
    plain = jr.fit(task, 240)
    watched = jr.fit(task, 240, monitor=True, out=tmp_path)
    jax.tree.map(np.testing.assert_array_equal, plain.state.params, watched.state.params)
    assert [look.step for look in watched.monitor.looks] == [0, 120, 240]
    look = watched.monitor.looks[-1]
    assert set(look.grads) == set(look.updates) == set(look.params)
    assert 1e-5 < look.update_ratio < 1e-1
    assert {"update_ratio", "jitter", "dead_units"} <= set(watched.history.names())
    report = jr.check_fit(watched)
    assert [str(f) for f in report.findings if f.verdict is not Verdict.PASSED] == []
    # A state that is not the one of the history is noticed.
    wrong = dataclasses.replace(watched, best=jr.fit(task, 1).state)
    assert "checkpoint-differs" in str(jr.check_fit(wrong).findings[0].suspects)
    alone = jr.check_fit(wrong, ignore=("best-restored",))
    assert all(finding.check != "best-restored" for finding in alone.findings)


@pytest.mark.slow
def test_a_schedule_in_epochs_is_seen_in_the_run(often):
    schedule = optax.cosine_decay_schedule(1e-3, 30)
    task = programs.classify(0, optimizer=optax.adam(schedule))
    (finding,) = (
        f for f in jr.check_fit(jr.fit(task, 600, monitor=True)).findings if f.item == "C4"
    )
    assert finding.suspects[0].cause == "schedule-ends-early"


@pytest.mark.slow
def test_a_foreign_run_is_judged_by_what_can_be_seen(often):
    result = jr.fit(programs.foreign(programs.classify(0)), 200, monitor=True)
    assert result.monitor.looks[-1].grads == {}
    assert jr.check_fit(result).ok
    without = jr.check_fit(dataclasses.replace(result, monitor=None))
    assert without.by_item()["C4"][0].verdict is Verdict.SKIPPED
    with pytest.raises(jr.TaskError, match="check_fit needs"):
        jr.check_fit(3)
