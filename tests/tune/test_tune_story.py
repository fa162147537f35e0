"""Importance, plots, judges and the report say what the trials say, and no more."""

from __future__ import annotations

import math

import numpy as np
import pytest

from jrecipe import draw, tune
from jrecipe.checks.result import Verdict
from jrecipe.figures import Bars, Curves, Parallel
from jrecipe.tune import plots
from jrecipe.tune.importance import comparable
from jrecipe.tune.rerun import Rerun, gain, interval, lowest
from jrecipe.tune.story import at_the_edge, judge_best, judge_edges
from jrecipe.types import TaskError

SPACE = tune.Space(
    {
        "width": tune.Choice(16, 32),
        "rate": tune.LogUniform(1e-4, 1.0),
        "dropout": tune.Uniform(0.0, 0.5),
        "kind": tune.Choice("a<b>", "b"),
        "layers": tune.When("kind", ("b",), tune.Int(1, 3)),
        "steps": 100,
    },
    scientific=("width",),
)


def trials_of(count, value, states=None, seed=0):
    points = tune.random(SPACE, count, seed)
    return [
        tune.Trial(number=i, params=p, value=value(p), **(states(i) if states else {}))
        for i, p in enumerate(points)
    ]


def rate_alone(params):
    return abs(math.log10(params["rate"]) + 2)


def rerun_of(name, values):
    values = np.array(values)
    params = tune.random(SPACE, 1)[0]
    return Rerun(
        name=name, params=params, seeds=tuple(range(len(values))), values=values, metric=-values
    )


def test_what_matters_is_found_and_nothing_else():
    found = tune.importance(trials_of(80, rate_alone), SPACE)
    assert max(found.shares, key=found.shares.get) == "rate"
    assert found.shares["rate"] > 0.8
    assert found.explained > 0.7
    assert sum(found.shares.values()) == pytest.approx(1.0)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_noise_explains_nothing_and_is_said_to():
    noise = np.random.default_rng(0).normal(size=80)
    trials = trials_of(80, lambda p: 0.0)
    trials = [tune.Trial(number=t.number, params=t.params, value=noise[t.number]) for t in trials]
    assert tune.importance(trials, SPACE).explained < 0.2
    report = tune.tuning_report(trials, SPACE, task="noise")
    assert "hardly anything" in str(report.to_html())


def test_few_trials_have_no_importance():
    assert tune.importance(trials_of(10, rate_alone), SPACE) is None


def test_trials_are_compared_at_a_step_that_all_of_them_saw():
    def states(i):
        if i == 2:
            return {"state": "failed", "why": "it broke"}
        if i % 2:
            return {"state": "stopped", "curve": ((1, float(i)),)}
        return {"curve": ((1, 10.0 + i), (5, 0.5))}

    kept, values, step = comparable(trials_of(4, lambda p: 0.5, states))
    assert step == 1
    assert [t.number for t in kept] == [0, 1, 2, 3]
    assert values.tolist() == [10.0, 1.0, np.inf, 3.0]


def test_plots_show_every_trial():
    trials = trials_of(20, rate_alone)
    figures = plots.slices(trials, SPACE, "loss")
    assert [type(f) for f in figures] == [Bars, Curves, Curves, Bars, Curves]
    assert figures[1].log_x
    assert not figures[2].log_x
    points = figures[1].lines["loss"]
    assert sorted(points[np.isfinite(points)]) == sorted(t.value for t in trials)
    shown = plots.parallel(trials, SPACE)
    assert shown.places.shape == (20, 5)
    assert sum(shown.marked) == 2
    best = min(range(20), key=lambda i: trials[i].value)
    assert shown.marked[best]
    for figure in (*figures, shown, plots.so_far(trials, "loss")):
        text = draw.html(figure)
        assert "<svg" in text
        assert "<b>" not in text


def test_parallel_coordinates_leave_gaps_and_say_what_they_are():
    figure = Parallel(
        title="t",
        axes=("a", "b"),
        ends=(("0", "1"), ("x", "y")),
        places=np.array([[0.0, 1.0], [np.nan, 0.5]]),
        marked=(True, False),
        mark="best",
    )
    text = draw.svg(figure)
    assert "2 lines over a, b" in text
    assert ">best<" in text
    empty = Parallel(title="t", axes=("a",), ends=(("0", "1"),), places=np.zeros((0, 1)))
    assert "nothing to draw" in draw.svg(empty)


def test_the_best_so_far_only_falls_and_waits_for_a_finished_trial():
    trials = trials_of(6, rate_alone, lambda i: {"state": "failed"} if i == 0 else {})
    line = plots.so_far(trials, "loss").lines["best so far"]
    assert np.isnan(line[0])
    assert (np.diff(line[1:]) <= 0).all()


def test_an_interval_covers_its_mean_19_times_of_20():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        one = interval(rng.normal(size=5))
        covered += one.low <= 0.0 <= one.high
    assert 366 <= covered <= 394  # 380, and three standard deviations
    assert interval(np.array([1.0])).high == math.inf


def test_a_gain_is_taken_over_pairs_of_seeds():
    base, best = rerun_of("defaults", [1.0, 2.0, 3.0]), rerun_of("trial 1", [0.9, 1.9, 2.9])
    assert gain(base, best).low == pytest.approx(0.1)
    assert lowest([base, best]) is best
    assert lowest([rerun_of("trial 2", [0.0, np.nan]), best]) is best


def test_a_best_that_is_no_better_than_before_is_a_warning():
    best = rerun_of("trial 1", [0.5, 0.6, 0.55])
    passed = judge_best(best, rerun_of("defaults", [1.0, 1.1, 1.2]), 0.4, "loss")
    assert passed.verdict is Verdict.PASSED
    assert "in the search it was 0.4" in passed.finding
    warned = judge_best(best, rerun_of("defaults", [0.6, 0.5, 0.55]), 0.4, "loss")
    assert warned.verdict is Verdict.WARNED
    assert warned.remedy
    broke = judge_best(best, rerun_of("defaults", [0.6, np.nan, 0.55]), 0.4, "loss")
    assert broke.verdict is Verdict.PASSED
    assert judge_best(best, None, 0.4, "loss").verdict is Verdict.PASSED


def test_a_best_at_the_end_of_a_range_is_named():
    inside = {"width": 32, "rate": 1e-2, "dropout": 0.0, "kind": "b", "layers": 2}
    assert at_the_edge(inside, SPACE) == []  # no dropout at all is no end to widen
    assert at_the_edge({**inside, "rate": 0.95}, SPACE) == ["rate"]
    assert at_the_edge({**inside, "rate": 1.01e-4, "dropout": 0.5}, SPACE) == ["rate", "dropout"]
    assert judge_edges(["rate"]).verdict is Verdict.WARNED


@pytest.mark.slow
def test_the_report_tells_the_whole_story(tmp_path):
    trials = trials_of(40, rate_alone)
    best = tune.best_of(trials)
    reruns = [
        rerun_of(f"trial {best.number}", [0.5, 0.6, 0.55]),
        rerun_of("defaults", [1.0, 1.1, 1.2]),
    ]
    report = tune.tuning_report(trials, SPACE, task="digits", reruns=reruns, facts={"seed": 0})
    assert report.ok
    titles = [section.title for section in report.sections]
    assert titles == [
        "Search",
        "What was searched",
        "Scientific parameters",
        "The best, over seeds",
        "What mattered",
        "Slices",
        "Together",
    ]
    page = report.save(tmp_path).read_text()
    for text in ("nuisance", "scientific", "fixed", "fresh seeds", "Parallel coordinates"):
        assert text in page
    assert (tmp_path / "report.json").exists()


def test_a_search_without_one_success_has_no_report():
    trials = trials_of(3, lambda p: math.nan, lambda i: {"state": "failed", "why": "it broke"})
    with pytest.raises(TaskError, match="failed in all of the 3 trials, the last time with it br"):
        tune.tuning_report(trials, SPACE, task="t")


@pytest.mark.parametrize(
    ("chosen", "seeds"), [({}, (1, 2)), ({"a": {}}, (1,)), ({"a": {}}, (1, 1))]
)
def test_a_rerun_needs_something_and_two_seeds(chosen, seeds):
    with pytest.raises(TaskError, match="two seeds or more"):
        tune.rerun(lambda params: None, chosen, steps=1, seeds=seeds)
