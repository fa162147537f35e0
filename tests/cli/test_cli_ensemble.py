"""An ensemble and its student by one command: the table, the folder, predictions."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from cli_runs import jrecipe, write_classes

from jrecipe.cli.restore import restore
from jrecipe.data import read_new
from jrecipe.types import TaskError

SMALL = ("--network", "mlp", "--width", 8, "--learning-rate", 0.02, "--steps", 40)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.exhaustive
def test_members_soup_and_student_are_compared_saved_and_used(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    options = ("--members", 2, "--shared", 20, "--distil", "--temperature", 3, "--out", "two")
    result = jrecipe("ensemble", table, *SMALL, *options)
    assert result.code == 0, result.err
    rows = [line.split("\t") for line in result.out.splitlines() if "\t" in line]
    names = [row[0] for row in rows[1:]]
    assert names[0] == "mean member"
    assert [name.split(" of ")[0] for name in names[2:]] == ["ensemble", "greedy soup", "student"]
    assert [row[4] for row in rows[1:]] == ["1", "1", "2", "1", "1"]  # networks that answer
    assert rows[1][2] == ""
    assert all(" to " in row[2] for row in rows[2:])
    page = Path("two/report.html").read_text(encoding="utf-8")
    assert "Squeeze out the juice" in page
    report = json.loads(Path("two/report.json").read_text(encoding="utf-8"))
    assert report["test"]["n"] > 0
    assert report["sections"][0]["table"]["rows"] == rows[1:]
    # The folder answers with the mean of the members, DIR/student with the student.
    both, student = restore("two"), restore("two/student")
    inputs = read_new([table], both.encoder).inputs
    assert len(both.state) == 2
    each = [np.asarray(both.state.member(i).predict(inputs)) for i in range(2)]
    mean = jax.nn.softmax(np.stack(each)).mean(axis=0)
    outputs = np.log(mean) / both.state.temperature
    np.testing.assert_allclose(
        jax.nn.softmax(both.outputs(inputs)), jax.nn.softmax(outputs), rtol=1e-3, atol=1e-5
    )
    assert student.state.model_state == {}
    lines = jrecipe("predict", "two", table, "--json").out.splitlines()
    assert len(lines) == len(inputs)
    assert jrecipe("predict", "two/student", table).code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--temperature", 3), "--distil"),
        (("--shared", 40), "--shared"),
        (("--members", 1), "--members"),
        (("--distil", "--hard", 2), "--hard"),
        (("--distil", "--temperature", 0), "--temperature"),
    ],
)
def test_bad_options_are_named_and_nothing_is_written(tmp_path, options, said):
    table = write_classes(tmp_path / "t.csv")
    result = jrecipe("ensemble", table, *SMALL, *options, "--out", "no")
    assert result.code == 2
    assert said in result.err
    assert not Path("no").exists()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_ensemble_that_is_gone_is_named(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    assert jrecipe("ensemble", table, *SMALL, "--members", 2, "--out", "two").code == 0
    Path("two/ensemble/squeezed.json").unlink()
    with pytest.raises(TaskError, match=r"squeezed\.json"):
        restore("two")
