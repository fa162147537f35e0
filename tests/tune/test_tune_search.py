"""A search one after another keeps its trials, goes on with them, and names what fails."""

from __future__ import annotations

import math

import pytest

from jrecipe import tune
from jrecipe.types import TaskError

SPACE = tune.Space({"x": tune.Uniform(-1.0, 1.0)})


def bowl(params, report):
    report(1, 2.0)
    return params["x"] ** 2


def test_what_was_done_is_kept_and_not_done_again(tmp_path):
    calls = []

    def counted(params, report):
        calls.append(params["x"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return bowl(params, report), {"x": params["x"]}

    with pytest.raises(KeyboardInterrupt):
        tune.search(counted, SPACE, trials=5, out=tmp_path)
    kept = tune.read_trials(tmp_path / "trials.jsonl")
    assert [t.number for t in kept] == [0, 1]
    with pytest.raises(TaskError, match="resume=True"):
        tune.search(counted, SPACE, trials=5, out=tmp_path)
    trials = tune.search(counted, SPACE, trials=5, out=tmp_path, resume=True)
    assert trials[:2] == kept
    assert len(calls) == 6  # the one that was interrupted, again
    assert tune.read_trials(tmp_path / "trials.jsonl") == trials
    with pytest.raises(TaskError, match="another space"):
        tune.search(counted, SPACE, trials=5, seed=1, out=tmp_path, resume=True)


def test_a_line_cut_short_is_left_out_and_a_damaged_one_is_named(tmp_path):
    tune.search(bowl, SPACE, trials=2, out=tmp_path)
    file = tmp_path / "trials.jsonl"
    whole = file.read_text()
    file.write_text(whole + '{"number": 2, "par')
    assert len(tune.search(bowl, SPACE, trials=3, out=tmp_path, resume=True)) == 3
    assert len(tune.read_trials(file)) == 3
    file.write_text("{}\n" + whole)
    with pytest.raises(TaskError, match="line 1, is no trial"):
        tune.search(bowl, SPACE, trials=3, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("given", "says"),
    [("text", "in place of a number"), (math.nan, "not finite"), (None, "in place of a number")],
)
def test_what_is_no_number_is_a_failed_trial(given, says):
    def sometimes(params, report):
        return params["x"] if params["x"] > 0 else given

    trials = tune.search(sometimes, SPACE, trials=8)
    failed = [t for t in trials if t.state == "failed"]
    assert failed
    assert all(says in t.why and math.isnan(t.value) for t in failed)
    assert tune.best_of(trials).params["x"] > 0


def test_an_objective_that_always_fails_ends_the_search(tmp_path):
    def fails(params, report):
        raise RuntimeError("no such luck")

    with pytest.raises(TaskError, match=r"all of the 5 trials.*RuntimeError: no such luck.*kept"):
        tune.search(fails, SPACE, trials=100, out=tmp_path)
    assert len(tune.read_trials(tmp_path / "trials.jsonl")) == 5
    with pytest.raises(TaskError, match="all of the 2 trials"):
        tune.search(fails, SPACE, trials=2)


def test_an_unknown_design_is_named():
    with pytest.raises(TaskError, match="sobol"):
        tune.search(bowl, SPACE, trials=2, design="grid")


def test_the_best_is_among_those_that_ran_to_their_end():
    stopped = tune.Trial(number=0, params={}, value=0.0, state="stopped")
    done = tune.Trial(number=1, params={}, value=1.0)
    assert tune.best_of([stopped, done]) == done
    with pytest.raises(TaskError, match="no finished trial"):
        tune.best_of([stopped])
