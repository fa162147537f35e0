"""`check` and `cook` end to end, on small real tasks."""

import dataclasses
import json
import shutil

import numpy as np
import optax
import pytest
from sklearn.datasets import load_iris

import jrecipe as jr
from jrecipe.checks import CHECKS
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe import cooked, effort, stages
from jrecipe.recipe.cooked import raise_if_wrong
from jrecipe.recipe.courses import Courses
from jrecipe.recipe.plan import Plan, build_task
from jrecipe.train import Clock


def iris():
    x, y = load_iris(return_X_y=True)
    # One pair of flowers is the same; keep each once, so that no split can leak.
    x, rows = np.unique(x, axis=0, return_index=True)
    x, y = x[rows.argsort().argsort()], y[rows][rows.argsort().argsort()]
    order = np.random.default_rng(0).permutation(len(x))
    x = ((x - x.mean(0)) / x.std(0))[order].astype("float32")
    y = y[order].astype("int32")
    parts = [ArraySource(x[c], y[c]) for c in (slice(0, 89), slice(89, 119), slice(119, None))]
    return Splits("iris", *parts, "classes", ("setosa", "versicolor", "virginica"))


@pytest.fixture(scope="module")
def small_effort():
    """Shorter stages: what is tested is the way through them."""
    few = effort.Effort(rung=60, final=120, seeds=(1, 2))
    with pytest.MonkeyPatch.context() as patch:
        for module in (cooked, effort, stages):
            patch.setattr(module, "effort_of", lambda task, deadline=None: few)
        yield few


@pytest.fixture(scope="module")
def dinner(small_effort, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    said = []
    cooked = jr.cook(iris(), out=out, show=said.append, progress=False, command="jrecipe cook iris")
    return cooked, out, said


@pytest.mark.slow
def test_every_stage_b_item_is_judged(dinner):
    report = dinner[0].report
    assert report.ok, str(report)
    items = {check.item for check in CHECKS} | {"A8", "C1", "C3", "D13", "E", "F", "J8"}
    assert set(report.by_item()) == items
    assert items >= {"A1", "A2", "A3", *(f"B{i}" for i in range(1, 14))}


@pytest.mark.slow
def test_the_test_split_is_scored_once_at_the_end(dinner):
    report = dinner[0].report
    assert report.test["n"] == len(iris().test)
    assert report.test["accuracy"] > 0.8
    assert report.sections[-1].title == "The test split, once"


@pytest.mark.slow
def test_the_story_names_the_stages_in_order(dinner):
    titles = [section.title for section in dinner[0].report.sections]
    order = ["The data", "What the problem needs", "Skeleton and baselines"]
    order += ["Overfit", "Regularise", "Tune", "Inside the network", "Squeeze"]
    order += ["What each step brought", "The test split, once"]
    assert titles == order
    assert any("Overfit" in line for line in dinner[2])


@pytest.mark.slow
def test_the_run_leaves_a_checkpoint_and_a_history(dinner):
    out = dinner[1]
    assert jr.train.checkpoint_steps(out / "checkpoints")[-1] == 120
    rows = [json.loads(line) for line in (out / "history.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 120


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("lost", ["tune", "the final run"])
def test_a_run_goes_on_at_the_stage_where_it_ended(dinner, tmp_path, small_effort, lost):
    """What was done is not done again, and nothing in the report tells that it ended."""
    whole, out, _ = dinner
    shutil.copytree(out, tmp_path / "run")
    for folder in ("checkpoints", "best"):
        shutil.rmtree(tmp_path / "run" / folder)
    (tmp_path / "run" / "history.jsonl").unlink()
    if lost == "tune":
        (tmp_path / "run" / "stages" / "tune.npz").unlink()
    said = []
    rest = jr.cook(iris(), out=tmp_path / "run", resume=True, show=said.append, progress=False)
    left = [line for line in said if line.endswith("as it was left")]
    assert len(left) == (4 if lost == "tune" else 5)
    assert any(line.startswith("Tune: ") for line in said) or lost != "tune"
    assert rest.report.test == whole.report.test
    assert rest.dish.to_json() == whole.dish.to_json()

    def told(report):  # seconds of training differ
        return [s for s in report.to_json()["sections"] if s["title"] not in _TIMED]

    assert told(rest.report) == told(whole.report)
    assert [f.finding for f in rest.report.findings] == [f.finding for f in whole.report.findings]


_TIMED = ("Squeeze", "The test split, once")


@pytest.mark.slow
def test_a_final_run_that_blows_up_fails_and_leaves_the_test_split_alone():
    task = build_task(iris(), Plan(network="linear", batch_size=16))
    for rate, ends_well in ((1e-2, True), (float("nan"), False), (-1e-2, True)):
        kitchen = cooked.Kitchen(
            task.replace(optimizer=optax.sgd(rate)),
            seed=0,
            ignore=(),
            budget="quick",
            minutes=None,
            courses=Courses(None, resume=False),
            human=None,
            say=lambda text: None,
        )
        kitchen.numbers = {"final": 30, "members": 1, "bounded": False, "uninformed": 1.1}
        kitchen.numbers |= {"seeds": 2, "rung": 10}
        kitchen.finish(out=None, resume=False, progress=False)
        report = kitchen.serve("", Clock(), "").report
        assert report.ok == ends_well
        assert (report.test is not None) == ends_well
        codes = [f.check for f in report.findings]
        assert ("finite-loss" in codes) != ends_well
        assert ("better-than-begun" in codes) == (rate < 0)


def test_minutes_have_to_be_some():
    for minutes in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(jr.TaskError, match=r"minutes > 0, got .*; 10 is much"):
            jr.cook(iris(), minutes=minutes)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_report_saves_itself(dinner, tmp_path):
    dinner[0].report.save(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["test"] == pytest.approx(dict(dinner[0].report.test))
    assert "jrecipe cook iris" in (tmp_path / "report.html").read_text()
    assert "Confusion" in (tmp_path / "report.html").read_text()


@pytest.mark.exhaustive
def test_where_work_is_short_the_final_rate_falls_and_the_story_says_so(monkeypatch):
    short = effort.Effort(rung=20, final=60, seeds=(1, 2), bounded=True)
    for module in (cooked, effort, stages):
        monkeypatch.setattr(module, "effort_of", lambda task, deadline=None: short)
    dinner = jr.cook(iris(), progress=False)
    assert dinner.dish.plan.decay_over == 60
    section = next(s for s in dinner.report.sections if s.title == "Tune")
    assert section.text[-1] == cooked.UNTRIED


def leaking():
    good = iris()
    val = ArraySource(*good.train.take(np.arange(20)))
    return dataclasses.replace(good, name="leaking", val=val)


def test_a_failed_gate_stops_before_training_and_says_what_to_do(small_effort):
    dinner = jr.cook(leaking(), progress=False)
    assert dinner.stopped == "inspect"
    assert dinner.fit is None
    assert dinner.report.test is None
    assert not dinner.report.ok
    assert dinner.report.likeliest().cause == "split-leakage"
    last = dinner.report.sections[-1]
    assert "inspect" in last.title
    assert "--keep-going" in " ".join(last.text)


def nearly_leaking(spread):
    """Validates on moved training flowers; `spread` gives them values of their own."""
    draw = np.random.default_rng(0).standard_normal
    good = iris()
    splits = {}
    for name in ("train", "test"):
        x, y = getattr(good, name).take(np.arange(len(getattr(good, name))))
        splits[name] = ArraySource(x + spread * draw(x.shape).astype(np.float32), y)
    x, y = splits["train"].take(np.arange(20))
    splits["val"] = ArraySource(x + 1e-4 * draw(x.shape).astype(np.float32), y)
    return dataclasses.replace(good, name="nearly leaking", **splits)


@pytest.mark.parametrize(
    ("spread", "check"),
    [
        pytest.param(0.1, "copies", id="values of their own"),
        pytest.param(0.0, "near-duplicates", id="values that repeat by nature"),
    ],
)
def test_near_copies_among_all_examples_stop_it_too(small_effort, spread, check):
    dinner = jr.cook(nearly_leaking(spread), progress=False)
    assert dinner.stopped == "inspect"
    (failed,) = (f for f in dinner.report.findings if f.verdict.name == "FAILED")
    assert failed.check == check
    assert failed.suspects[0].cause == "split-leakage"
    assert "What the problem needs" in [section.title for section in dinner.report.sections]
    leaks = dinner.survey.examples.where(leaks=True, split="val")["row"].tolist()
    assert leaks == (list(range(20)) if spread else [])


def test_ignoring_the_cause_opens_the_gate(small_effort):
    said = []

    class ReachedError(Exception):
        pass

    def show(text):
        said.append(text)
        if text.startswith("B1 "):
            raise ReachedError

    with pytest.raises(ReachedError):
        jr.cook(leaking(), ignore=("split-leakage",), show=show, progress=False)
    assert said[-1].startswith("B1 ")


def test_check_needs_a_task_and_known_names():
    with pytest.raises(jr.TaskError, match=r"jr\.Task is needed, got int '3'"):
        jr.check(3)
    task = build_task(iris(), Plan(network="linear", batch_size=16))
    with pytest.raises(jr.TaskError, match=r"no check 'B99'.*B13"):
        jr.check(task, only=["B99"])
    with pytest.raises(jr.TaskError, match=r"'tea'.*split-leakage"):
        jr.check(task, only=["A3"], ignore=["tea"])


def test_check_reports_facts_that_let_a_run_be_repeated():
    task = build_task(iris(), Plan(network="linear", batch_size=16))
    report = jr.check(task, only=["A3"], seed=7)
    assert report.facts["seed"] == 7
    assert report.facts["examples"]["train"] == 89
    assert report.facts["versions"]["jrecipe"] == jr.__version__
    assert report.facts["parameters"] == 4 * 3 + 3


@pytest.mark.parametrize(
    ("human", "words"),
    [
        (([0, 1], [2]), "as many rows as answers, got 2 and 1"),
        (([], []), "as many rows as answers"),
        (([0, 99], [1, 1]), "row 99, but the validation split has rows 0 to 29"),
    ],
)
def test_answers_of_a_person_must_fit_the_split(human, words):
    with pytest.raises(jr.TaskError, match=words):
        raise_if_wrong(human, 30)


def test_cook_refuses_values_it_cannot_train_on():
    good = iris()
    inputs, targets = good.train.take(np.arange(40))
    inputs[3, 1] = np.nan
    bad = dataclasses.replace(good, train=ArraySource(inputs, targets))
    with pytest.raises(jr.TaskError, match=r"train inputs .* first in row 3; drop or impute"):
        jr.cook(bad)
