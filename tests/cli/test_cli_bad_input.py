"""Bad input: exit code 2, one line with argument, value and way out, and nothing written."""

from __future__ import annotations

import numpy as np
import pytest
from cli_runs import jrecipe, write_classes, write_task


def refused(folder, *args: object, says: tuple[str, ...]) -> None:
    before = written(folder)
    result = jrecipe(*args)
    assert result.code == 2, result
    assert result.out == ""
    lines = result.err.splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("jrecipe: error: ")
    for text in says:
        assert text in lines[0]
    assert written(folder) == before


def written(folder):
    """Returns what is in a folder, without what Python compiles for itself."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", ["cook", "fit", "check", "inspect"])
@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere/x.csv", ("nowhere/x.csv", "does not exist", "it can be")),
        ("digit", ("'digit' is unknown", "did you mean 'digits'?")),
        ("nowhere.py:task", ("nowhere.py", "does not exist", "my_task.py:task")),
    ],
)
def test_a_target_that_is_not_there(tmp_path, command, target, says):
    refused(tmp_path, command, target, says=says)


@pytest.mark.thin(2)
@pytest.mark.parametrize("command", ["cook", "fit", "check"])
def test_nan_in_the_inputs(tmp_path, command):
    x = np.ones((20, 3), np.float32)
    x[7, 1] = np.nan
    np.savez(tmp_path / "bad.npz", x=x, y=np.arange(20) % 2)
    refused(tmp_path, command, "bad.npz", says=("inputs", "NaN", "row", "drop or impute"))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((0, 2)), "y": np.zeros(0, int)}, ("bad.npz", "empty", "at least one")),
        (
            {"x": np.eye(8), "y": np.arange(7) % 2},
            ("8 inputs", "7 targets", "one target per input"),
        ),
        ({"x": np.eye(8), "y": np.zeros(8, int)}, ("bad.npz", "0", "two values or more")),
    ],
)
@pytest.mark.parametrize("command", ["cook", "fit"])
def test_data_that_cannot_be_trained_on(tmp_path, command, arrays, says):
    np.savez(tmp_path / "bad.npz", **arrays)
    refused(tmp_path, command, "bad.npz", says=says)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("make(train=(x, y + 1))", ("train targets", "2")),
        ("make(train=(x, y.astype(np.float32)))", ("train targets", "float32")),
        ("make(train=(x, 0 * y))", ("train targets",)),
        ("make(train=(x * np.nan, y))", ("train inputs", "NaN", "drop or impute")),
    ],
)
@pytest.mark.parametrize("command", ["cook", "fit"])
def test_values_that_no_task_can_be_trained_on(tmp_path, command, task, says):
    write_task(tmp_path / "mine.py", f"\ntask = {task}\n")
    refused(tmp_path, command, "mine.py:task", says=says)


@pytest.mark.parametrize(
    ("more", "name", "says"),
    [
        ("", "not_a_task", ("mine.py:not_a_task", "got int 3", "jr.Task(model=")),
        ("", "tusk", ("mine.py has no 'tusk'", "did you mean 'mine.py:task'?")),
        ("", "", ("target 'mine.py':", "did you mean 'mine.py:task'?")),
        ("\nx = = 1\n", "task", ("mine.py:22", "SyntaxError", "mend the file")),
        ("\n\n1 / 0\n", "task", ("mine.py:23", "ZeroDivisionError", "--traceback")),
        ("\nimport nowhere_at_all\n", "task", ("mine.py:22", "nowhere_at_all")),
        ("\nimport sys; sys.exit(0)\n", "task", ("mine.py:22", "SystemExit")),
        ("\ndef bad():\n    return {}['k']\n", "bad", ("mine.py:23", "KeyError: 'k'")),
        ("\nbig = lambda: make(batch_size=500)\n", "big", ("500", "40 examples", "batch_size=32")),
        ("\nodd = lambda: make(train=(x, y[:9]))\n", "odd", ("60 examples", "has 9", "one target")),
        ("\nnone = lambda: make(train=(x[:0], y[:0]))\n", "none", ("empty", "at least one")),
    ],
)
def test_a_task_file_that_gives_no_task(tmp_path, more, name, says):
    write_task(tmp_path / "mine.py", more)
    refused(tmp_path, "check", f"mine.py:{name}", "--only", "B4", says=says)


def test_an_error_of_the_users_network_names_its_line(tmp_path):
    call = "    @nn.compact\n    def __call__(self, x):\n        return x @ x\n"
    more = f"\nclass Net(nn.Module):\n{call}"
    write_task(tmp_path / "mine.py", f"{more}\ntask = make(model=Net())\n")
    refused(tmp_path, "fit", "mine.py:task", says=("mine.py:25: TypeError", "--traceback"))


def test_the_traceback_is_there_for_those_who_ask(tmp_path):
    write_task(tmp_path / "mine.py", "\n1 / 0\n")
    result = jrecipe("check", "mine.py:task", "--traceback")
    assert result.code == 2
    assert "Traceback (most recent call last)" in result.err
    assert result.err.splitlines()[-1].startswith("jrecipe: error: ")


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ("fit", "t.csv", "--batch-size", "500"),
            ("--batch-size is 500", "examples", "--batch-size 32"),
        ),
        (("fit", "t.csv", "--network", "convnet"), ("--network convnet", "[2]", "--network mlp")),
        (("fit", "t.csv", "--network", "linear", "--width", "4"), ("--width is 4", "mlp")),
        (("fit", "t.csv", "--target", "nope"), ("t.csv", "'nope'", "'label'")),
        (("fit", "t.csv", "--steps", "0"), ("--steps", "0", "jrecipe fit --help")),
        (("fit", "t.csv", "--devices", "0"), ("--devices", "'0'", "'auto'")),
        (("fit", "t.csv", "--devices", "many"), ("--devices", "'many'", "'auto'")),
        (("fit", "t.csv", "--seed", "x"), ("--seed", "'x'", "jrecipe fit --help")),
        (("fit", "t.csv", "--resume"), ("--resume", "runs/t", "--out DIR")),
        (("fit", "t.csv", "--resume", "--out", "o"), ("--resume", "--out o", "holds no run")),
        (("cook", "t.csv", "--resume", "--out", "o"), ("--resume", "--out o", "holds no run")),
        (("check", "t.csv", "--only", "B4,X9"), ("--only B4,X9", "'X9'", "there are A1")),
        (
            ("check", "t.csv", "--sarif", "no/x.sarif"),
            ("--sarif no/x.sarif", "folder no", "another one"),
        ),
        (("check", "t.csv", "--ignore", "spam"), ("ignore", "'spam'", "causes are")),
        (("cook", "t.csv", "--ignore", "spam"), ("ignore", "'spam'", "causes are")),
        (("cook", "t.csv", "--human", "no.json"), ("human answers no.json", '"rows"')),
        (("predict", "nowhere", "t.csv"), ("'nowhere'", "run.json", "jrecipe cook")),
        (("predict", ".", "t.csv"), ("'.'", "run.json")),
        (("predict", "."), ("no FILES and no --split", "give files")),
        (("cok",), ("'cok'", "did you mean 'cook'?", "--help")),
        (("fit",), ("TARGET", "jrecipe fit --help")),
        (("--nope",), ("--nope", "jrecipe --help")),
        (("fit", "t.csv", "--out", "t.csv"), ("--out", "t.csv")),
    ],
)
def test_arguments_that_do_not_fit(tmp_path, args, says):
    write_classes(tmp_path / "t.csv")
    refused(tmp_path, *args, says=says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", ("cannot be read",)),
        ("[1]", ("no rows and labels",)),
        ('{"rows": [0, 1], "labels": ["yes"]}', ("one entry for each of 2 rows",)),
        ('{"rows": [0], "labels": ["maybe"]}', ("'maybe'", "no, yes")),
        ('{"rows": [0], "labels": [7]}', ("label 7", "0 to 1")),
        ('{"rows": ["a"], "labels": [1]}', ("rows are", "whole numbers")),
        ('{"rows": [9999], "labels": [1]}', ("row 9999", "rows 0 to")),
    ],
)
def test_human_answers_that_cannot_be_understood(tmp_path, text, says):
    write_classes(tmp_path / "t.csv")
    (tmp_path / "human.json").write_text(text)
    refused(tmp_path, "cook", "t.csv", "--human", "human.json", says=("human", *says))


@pytest.mark.parametrize("command", ["cook", "fit", "check", "inspect"])
def test_a_folder_that_holds_another_run(tmp_path, command):
    write_classes(tmp_path / "t.csv")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text("{}")
    refused(
        tmp_path, command, "t.csv", "--out", "old", says=("--out old", "another run", "--resume")
    )
    assert (tmp_path / "old" / "run.json").read_text() == "{}"


def test_options_that_a_task_of_ones_own_has_no_use_for(tmp_path):
    write_task(tmp_path / "mine.py")
    for option, value in (("--network", "mlp"), ("--width", "8"), ("--target", "y")):
        refused(tmp_path, "fit", "mine.py:task", option, value, says=(option, value, "leave"))
    refused(
        tmp_path, "fit", "mine.py:task", "--batch-size", "99", says=("--batch-size is 99", "40")
    )
