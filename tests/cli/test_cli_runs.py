"""Whole commands on small data: what they print, write and exit with."""

from __future__ import annotations

import json
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from cli_runs import finish, jrecipe, process, write_classes, write_numbers, write_task

import jrecipe as jr
from jrecipe.cli.restore import restore
from jrecipe.data import load, read_new
from jrecipe.recipe import PlannedDish
from jrecipe.recipe.plan import suggest_plan, target_scale

SMALL = ("--network", "mlp", "--width", 8, "--steps", 60, "--learning-rate", 0.02)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def in_process(path: Path, seed: int = 0) -> tuple[jr.Fit, PlannedDish]:
    """The same training by the public functions."""
    splits = load(path, seed=seed)
    plan = suggest_plan(splits).replace(network="mlp", width=8, learning_rate=0.02)
    dish = PlannedDish(splits, plan).well()
    return jr.fit(dish.task, 60, seed=seed), dish


def lines_of(result) -> list[dict]:
    assert result.code == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_predictions_of_classes_are_those_of_the_same_training_in_python(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    assert jrecipe("fit", table, *SMALL, "--out", "run", "--monitor").code == 0
    assert "Inside the network" in Path("run/report.html").read_text(encoding="utf-8")
    fit, dish = in_process(table)
    table_without_data = tmp_path / "elsewhere.csv"
    table.rename(table_without_data)  # the training data is gone
    found = lines_of(jrecipe("predict", "run", table_without_data, "--json"))
    new = read_new([table_without_data], dish.splits.encoder)
    share = np.asarray(jax.nn.softmax(fit.predict(new.inputs), axis=-1))
    assert [line["answer"] for line in found] == [
        dish.splits.class_names[i] for i in share.argmax(axis=-1)
    ]
    np.testing.assert_allclose([x["probability"] for x in found], share.max(axis=-1), rtol=1e-5)
    assert [x["name"] for x in found] == new.names
    text = jrecipe("predict", "run", table_without_data).out.splitlines()
    assert text[0].split("\t") == [
        found[0]["name"],
        found[0]["answer"],
        f"{found[0]['probability']:.4f}",
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_predicted_numbers_are_in_the_units_of_the_table(tmp_path):
    table = write_numbers(tmp_path / "t.csv")
    assert jrecipe("fit", table, *SMALL).code == 0
    found = lines_of(jrecipe("predict", "runs/t", table, "--json"))
    fit, dish = in_process(table)
    mean, std = target_scale(dish.splits)
    new = read_new([table], dish.splits.encoder)
    want = np.asarray(fit.predict(new.inputs)) * std + mean
    np.testing.assert_allclose([x["answer"] for x in found], want, rtol=1e-5)
    assert 900 < np.mean(want) < 1100
    split = lines_of(jrecipe("predict", "runs/t", "--split", "test", "--json"))
    np.testing.assert_allclose(
        [x["target"] for x in split], dish.splits.test.take(np.arange(len(split)))[1]
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_pictures_are_predicted_as_files_and_as_a_split(tmp_path):
    assert jrecipe("fit", "digits", "--network", "linear", "--steps", 300).code == 0
    found = lines_of(jrecipe("predict", "runs/digits", "--split", "val", "--json"))
    assert len(found) == 360
    right = np.mean([x["answer"] == x["target"] for x in found])
    history = [json.loads(x) for x in Path("runs/digits/history.jsonl").read_text().splitlines()]
    best = min((x for x in history if "val_loss" in x), key=lambda x: x["val_loss"])
    np.testing.assert_allclose(right, best["val_metric"], atol=1e-6)
    raw = load("digits").encoder.decode(load("digits").val.take(np.arange(5))[0])
    np.save(tmp_path / "five.npy", raw * 16.0)
    five = lines_of(jrecipe("predict", "runs/digits", "five.npy", "--json"))
    assert [x["answer"] for x in five] == [x["answer"] for x in found[:5]]
    refused = jrecipe("predict", "runs/digits", "none.npy")
    assert refused.code == 2
    assert "none.npy does not exist" in refused.err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_task_of_ones_own_is_trained_and_predicts_arrays(tmp_path):
    file = write_task(tmp_path / "mine.py")
    result = jrecipe("fit", "mine.py:task", "--steps", 20, "--quiet")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[-1] == "Report: runs/mine/report.html"
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    np.save("new.npy", x)
    found = lines_of(jrecipe("predict", "runs/mine", "new.npy", "--json"))
    state = restore("runs/mine").state
    w, b = np.asarray(state.params["kernel"]), np.asarray(state.params["bias"])
    want = (x @ w + b).argmax(-1)
    assert [int(line["answer"]) for line in found] == want.tolist()
    np.save("narrow.npy", x[:, :2])
    refused = jrecipe("predict", "runs/mine", "narrow.npy")
    assert refused.code == 2
    assert "[2]" in refused.err
    assert "[3]" in refused.err
    file.unlink()
    gone = jrecipe("predict", "runs/mine", "new.npy")
    assert gone.code == 2
    assert "mine.py does not exist" in gone.err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_runs_of_one_name_are_numbered_and_never_overwritten(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    for folder in ("runs/t", "runs/t-2"):
        result = jrecipe("fit", table, *SMALL, "--json")
        report = json.loads(result.out)
        assert report["facts"]["command"].endswith("--json")
        assert report["facts"]["steps"] == 60
        assert sorted(p.name for p in Path(folder).iterdir()) == [
            "best",
            "checkpoints",
            "history.jsonl",
            "report.html",
            "report.json",
            "run.json",
        ]
    record = json.loads(Path("runs/t-2/run.json").read_text())
    assert record["status"] == "done"
    assert record["command"].endswith("--out runs/t-2")
    assert record["network"]["plan"]["width"] == 8


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_resumed_run_equals_one_that_was_never_interrupted(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    whole = ("fit", table, "--network", "linear", "--steps")
    assert jrecipe(*whole, 60, "--out", "whole").code == 0
    assert jrecipe(*whole, 25, "--out", "parts").code == 0
    fewer = jrecipe(*whole, 20, "--out", "parts", "--resume")
    assert fewer.code == 2
    assert "--steps is 20" in fewer.err
    other = jrecipe(*whole, 60, "--out", "parts", "--resume", "--seed", 1)
    assert other.code == 2
    assert "--seed is 1" in other.err
    assert jrecipe(*whole, 60, "--out", "parts", "--resume").code == 0
    for folder in ("checkpoints",):
        states = [restored(Path(name), folder) for name in ("whole", "parts")]
        for a, b in zip(*map(jax.tree.leaves, states), strict=True):
            np.testing.assert_array_equal(a, b)


def restored(run: Path, folder: str):
    from jrecipe.train import load_checkpoint

    state = restore(run).state
    return load_checkpoint(run / folder, state).params


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_blows_up_is_a_failure(tmp_path):
    table = write_numbers(tmp_path / "t.csv")
    result = jrecipe("fit", table, "--network", "linear", "--learning-rate", 1e30, "--steps", 50)
    assert result.code == 1
    assert "finite" in result.out or "nan" in result.out.lower()
    assert Path("runs/t/report.html").exists()


def test_check_prints_findings_or_json_and_writes_only_when_asked(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    result = jrecipe("check", table, "--only", "B4,exact-eval", "--network", "linear")
    assert result.code == 0
    assert "B4 Is the untrained loss" in result.err
    assert "B3 Exact evaluation" in result.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv"]
    result = jrecipe("check", table, "--only", "B4", "--json", "--out", "page", "--quiet")
    assert json.loads(result.out)["findings"].keys() == {"B4"}
    assert result.err == ""
    assert json.loads(Path("page/report.json").read_text()) == json.loads(result.out)
    assert Path("page/report.html").exists()


def test_check_exits_with_1_for_a_task_that_is_broken(tmp_path):
    more = (
        "\ndef loss(o, t):\n    return 3 * jr.losses.softmax_cross_entropy()(o, t) + o[0].sum()\n"
    )
    write_task(tmp_path / "mine.py", f"{more}\ntask = make(loss=loss)\n")
    result = jrecipe("check", "mine.py:task", "--only", "B12")
    assert result.code == 1
    assert result.out.startswith("FAILED")
    ignored = jrecipe("check", "mine.py:task", "--only", "B12", "--ignore", "B12")
    assert ignored.code == 0


@pytest.mark.exhaustive
@pytest.mark.slow
def test_inspect_makes_findings_of_values_that_cannot_be_trained_on(tmp_path):
    write_task(tmp_path / "mine.py", "\nx[3] = np.nan\ntask = make()\n")
    result = jrecipe("inspect", "mine.py:task")
    assert result.code == 1
    assert "NaN" in result.out
    result = jrecipe("inspect", "digits")
    assert result.code == 0
    assert "cut 60/20/20" in result.out


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_process_of_its_own_gives_the_same_json(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    args = ("check", table, "--only", "B3", "--network", "linear", "--json", "--quiet")
    # Compiled as the tests are (conftest.py), so that every number is the same.
    like_here = (
        "import jax; jax.config.update('jax_num_cpu_devices', 2); "
        "jax.config.update('jax_disable_most_optimizations', True)"
    )
    done = finish(process(*args, cwd=tmp_path, before=like_here))
    here = json.loads(jrecipe(*args).out)
    there = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert there["findings"] == here["findings"]


def test_training_code_whose_state_is_an_object_still_gives_its_result(tmp_path):
    more = """
class State:
    w = 0.0

def step(state, batch, key):
    return state, {"loss": 0.5}

def predict(state, inputs):
    return np.zeros((len(inputs), 2), np.float32)

trainer = jr.Trainer(lambda key: State(), step, predict, lambda state: {})
task = make(model=None, trainer=trainer)
"""
    write_task(tmp_path / "mine.py", more)
    result = jrecipe("fit", "mine.py:task", "--steps", 3)
    assert result.code == 0, result.err
    assert "the weights were not saved: Trainer.init returned a state with a State" in result.err
    assert "no trained network yet" in jrecipe("predict", "runs/mine", "--split", "val").err


@pytest.mark.slow
def test_a_network_that_is_being_cooked_is_not_asked(tmp_path, monkeypatch):
    """Until it has ended, the record holds the network with which it began."""
    monkeypatch.chdir(tmp_path)
    table = write_classes(tmp_path / "t.csv")
    assert jrecipe("fit", table, "--network", "linear", "--steps", 3, "--out", "run").code == 0
    assert jrecipe("predict", "run", "--split", "val").code == 0
    record = json.loads(Path("run/run.json").read_text())
    for status, code in (("running", 2), ("done", 0)):
        text = json.dumps(record | {"kind": "cook", "status": status})
        Path("run/run.json").write_text(text)
        asked = jrecipe("predict", "run", "--split", "val")
        assert asked.code == code
        assert ("no trained network yet (running)" in asked.err) == (code == 2)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_cook_digits_that_is_killed_on_the_way(tmp_path):
    child = process("cook", "digits", "--out", "dinner", cwd=tmp_path)
    kept = tmp_path / "dinner" / "stages" / "overfit.npz"
    while not kept.exists():
        assert child.poll() is None, finish(child)
        time.sleep(0.2)
    child.kill()
    finish(child)
    done = finish(process("cook", "digits", "--out", "dinner", "--resume", cwd=tmp_path), 900)
    assert done.code == 0, done.err
    assert "Overfit: as it was left" in done.err
    assert done.out.splitlines()[-1] == "Report: dinner/report.html"
    report = json.loads(Path("dinner/report.json").read_text())
    assert {f"B{i}" for i in range(1, 14)} | {"E", "F", "J8"} <= report["findings"].keys()
    assert report["test"]["accuracy"] >= 0.98
    for name in ("report.html", "history.jsonl", "run.json", "checkpoints", "best"):
        assert (Path("dinner") / name).exists()
    for run, row in (("dinner", 0), ("dinner/ensemble", 2), ("dinner/student", 3)):
        found = lines_of(jrecipe("predict", run, "--split", "test", "--json"))
        right = np.mean([x["answer"] == x["target"] for x in found])
        told = next(s for s in report["sections"] if s["title"] == "The test split, once")
        assert told["table"]["rows"][row][1].startswith(f"{100 * right:.2f} ")


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_batch_shared_by_virtual_devices_trains_as_on_one(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    said = []
    for i, more in enumerate([(), ("--devices", 2, "--accumulate", 2, "--save-every", 5)]):
        args = ("fit", table, "--network", "linear", "--steps", 20, "--batch-size", 16)
        result = finish(process(*args, *more, "--out", i, cwd=tmp_path))
        assert result.code == 0, result
        said.append(result.out.partition("best validation loss")[2].splitlines()[0])
    assert said[0] == said[1]
    assert (tmp_path / "1" / "checkpoints" / "15").is_dir()
    result = finish(process("fit", table, "--devices", 5, "--batch-size", 16, cwd=tmp_path))
    assert result.code == 2
    assert "devices=5, which do not divide batch_size=16" in result.err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_fit_computes_in_the_precision_that_is_asked_for(tmp_path):
    write_classes(tmp_path / "t.csv")
    command = ("fit", "t.csv", "--network", "linear", "--steps", 20)
    assert jrecipe(*command, "--out", "full").code == 0
    assert jrecipe(*command, "--out", "half", "--precision", "bfloat16").code == 0
    full, half = (
        jr.train.History.load(tmp_path / name / "history.jsonl")["loss"]
        for name in ("full", "half")
    )
    assert half == pytest.approx(full, rel=0.05)
    assert not np.array_equal(half, full)
    assert jrecipe("predict", "half", "--split", "test").code == 0
    other = jrecipe(*command, "--out", "half", "--resume")
    assert other.code == 2
    assert "--precision" in other.err


@pytest.mark.exhaustive
@pytest.mark.slow
def test_fit_says_where_memory_cannot_be_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("jrecipe.train.keep_memory", lambda: False)
    command = ("fit", "digits", "--steps", "2", "--network", "mlp", "--width", "4")
    assert "--keep-memory changes nothing" in jrecipe(*command, "--keep-memory").err
    assert "--keep-memory" not in jrecipe(*command).err
