"""What a stage left comes back from disk as it was, or is refused; nothing is unpickled."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from small_tasks import small

import jrecipe as jr
from jrecipe import figures
from jrecipe.checks import Finding, Suspect, Verdict
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe.courses import Course, Courses, load_course
from jrecipe.recipe.dish import YOURS, dish_from_json, dish_of
from jrecipe.report import Report, Section
from jrecipe.train.seeds import SeedRuns


def course(**changes):
    losses = np.array([[1.0, np.nan], [0.5, np.inf]])
    made = Course(
        stage="overfit",
        dish={"plan": {"width": 8}, "biased": True},
        findings=(
            Finding(
                item="B4",
                check="loss-at-init",
                verdict=Verdict.WARNED,
                finding="Too high.",
                evidence={"loss": np.float32(2.5), "floor": None, "bounded": False},
                remedy="Lower it.",
                suspects=(Suspect(cause="init-scale", component="head", why="it is 2.5"),),
                figures=(figures.Curves(title="Loss", lines={"a": np.arange(3.0)}),),
            ),
        ),
        sections=(
            Section(
                title="Overfit",
                text=("Told.",),
                table=figures.Table(title="", columns=("a",), rows=[("1",)]),
                figures=(
                    figures.Pictures(
                        title="Seen",
                        images=np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 2, 2),
                        captions=["one", "two"],
                    ),
                    figures.Bars(title="Long", values={"a": 1.0}, intervals={"a": (0.5, 1.5)}),
                ),
            ),
        ),
        runs=SeedRuns(
            seeds=(1, 2),
            steps=np.array([5, 10]),
            val_loss=losses,
            train_loss=losses,
            train_end=losses[:, 0],
        ),
        numbers={"rung": 10, "bounded": False},
        seconds=1.5,
    )
    return dataclasses.replace(made, **changes)


def page(found: Course) -> str:
    return Report(task="t", findings=found.findings, sections=found.sections).to_html()


def test_a_course_comes_back_as_it_was(tmp_path):
    given = course()
    Courses(tmp_path / "stages", resume=False).keep(given)
    found = Courses(tmp_path / "stages", resume=True).get("overfit")
    assert (found.stage, found.seconds, found.numbers) == ("overfit", 1.5, given.numbers)
    assert found.dish == given.dish
    assert found.findings[0].verdict is Verdict.WARNED
    assert found.findings[0].suspects == given.findings[0].suspects
    assert found.runs.seeds == (1, 2)
    np.testing.assert_array_equal(found.runs.val_loss, given.runs.val_loss)
    np.testing.assert_array_equal(found.runs.best, given.runs.best)
    # What a reader sees is the same, to the byte.
    assert page(found) == page(given)


def test_a_new_run_begins_without_the_courses_of_another(tmp_path):
    Courses(tmp_path, resume=False).keep(course())
    assert Courses(tmp_path, resume=True).get("skeleton") is None
    assert Courses(tmp_path, resume=False).get("overfit") is None


def test_without_a_folder_nothing_is_kept():
    courses = Courses(None, resume=False)
    courses.keep(course())
    assert courses.get("overfit") is None


@pytest.mark.parametrize("damage", ["cut", "text", "pickle", "another class"])
def test_a_damaged_course_is_refused_and_named(tmp_path, damage):
    courses = Courses(tmp_path, resume=False)
    courses.keep(course())
    path = tmp_path / "overfit.npz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("not a file of arrays")
    elif damage == "pickle":
        np.savez(path, text=np.array({"a": 1}, dtype=object))
    else:
        np.savez(path, text=np.array('{"dataclass": "Popen", "fields": {"args": "true"}}'))
    with pytest.raises(jr.TaskError, match=r"overfit\.npz is damaged"):
        load_course(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_costs_the_way_back_only(tmp_path):
    (tmp_path / "stages").mkdir(mode=0o500)
    courses = Courses(tmp_path / "stages", resume=False)
    courses.keep(course())
    assert "overfit.npz" in courses.unkept


def test_what_is_in_the_way_of_the_folder_costs_the_way_back_only(tmp_path):
    (tmp_path / "stages").write_text("a file")
    courses = Courses(tmp_path / "stages", resume=False)
    courses.keep(course())
    assert "overfit.npz" in courses.unkept
    assert courses.get("overfit") is None


def splits():
    x = np.random.default_rng(0).normal(size=(40, 8, 8, 1)).astype(np.float32)
    y = (x.mean(axis=(1, 2, 3)) > 0).astype(np.int32)
    part = ArraySource(x, y)
    return Splits("tiny", part, part, part, "classes", ("low", "high"))


def test_a_dish_comes_back_from_what_is_kept_of_it():
    data = splits()
    dish = dish_of(data).well().faster(3.0).bigger()
    for rung in dish.rungs(50):
        dish = rung.apply(dish)
    back = dish_from_json(data, dish.to_json())
    assert back == dish
    assert back.plan.translate == 1
    with pytest.raises(jr.TaskError, match="another version"):
        dish_from_json(data, {"plan": {}})


def test_the_dish_of_a_users_task_comes_back_too():
    task = small(augment=lambda key, batch: batch)
    dish = dish_of(task)
    assert dish.task.augment is None
    (rung,) = dish.rungs(50)
    biased = dish.well()
    assert biased.biased
    assert dish_from_json(task, biased.to_json()) == biased
    dish = rung.apply(biased.bigger())
    dish = dish.search(50).adopt({"rate": 2.0})
    back = dish_from_json(task, dish.to_json())
    assert back.to_json() == {"copies": 2, "biased": False, "added": YOURS, "rate": 2.0}
    assert back.task.augment is task.augment
    with pytest.raises(jr.TaskError, match="another version"):
        dish_from_json(task, {"spam": 1})
