"""`jrecipe inspect` makes findings of damaged data and inspects the rest (A2)."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cli_runs import jrecipe
from PIL import Image

RNG = np.random.default_rng(0)
ROWS = [f"{a:.3f},{b:.3f},{'ab'[i % 2]}" for i, (a, b) in enumerate(RNG.normal(size=(60, 2)))]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def table(path, lines):
    path.write_text("x,y,label\n" + "\n".join(lines) + "\n")


def pets(root):
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for i in range(20):
            pixels = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")


def findings(*args):
    result = jrecipe("inspect", *args, "--json", "--quiet")
    assert result.err == ""
    by_item = json.loads(result.out)["findings"]
    return result.code, [finding for found in by_item.values() for finding in found]


@pytest.mark.slow
def test_damaged_lines_fail_with_their_places_and_the_other_checks_run(tmp_path):
    table(tmp_path / "t.csv", ["1,2,3,a", *ROWS, "1,2"])
    result = jrecipe("inspect", "t.csv", "--out", "looked")
    assert result.code == 1
    assert "FAILED   A2 Corrupt examples and labels: 2 lines are damaged" in result.out
    assert "t.csv:2: 4 cells, but the header has 3 columns; t.csv:63: 2 cells" in result.out
    assert "Suspect: damaged-line in data at t.csv:2" in result.out
    assert "60 examples were read" in result.out
    for title in ("A1 Duplicates", "A3 Class balance"):
        assert f"PASSED   {title}" in result.out
    page = (tmp_path / "looked" / "report.html").read_text()
    assert "<td>t.csv:63</td>" in page


def test_damaged_pictures_fail_and_an_empty_class_warns(tmp_path):
    pets(tmp_path / "pets")
    code, found = findings("pets")
    assert (code, [f for f in found if f["verdict"] == "FAILED"]) == (0, [])
    (tmp_path / "pets" / "cat" / "3.png").write_bytes(b"")
    (tmp_path / "pets" / "bird").mkdir()
    code, found = findings("pets")
    assert code == 1
    assert [(f["verdict"], f["finding"]) for f in found if f["check"] == "corrupt"][:2] == [
        ("WARNED", "1 class has no examples. pets/bird: a class without a picture."),
        ("FAILED", "1 file is damaged; 39 examples were read. pets/cat/3.png: empty file."),
    ]
    code, found = findings("pets", "--ignore", "damaged-file")
    assert code == 0
    ignored = "Ignored on request (damaged-file): 1 file is damaged"
    assert any(f["finding"].startswith(ignored) for f in found)
    code, found = findings("pets", "--ignore", "corrupt")
    assert (code, [f for f in found if f["check"] == "corrupt"]) == (0, [])


@pytest.mark.parametrize("command", ["fit", "cook", "check"])
def test_training_still_refuses_with_one_line_that_names_inspect(tmp_path, command):
    table(tmp_path / "t.csv", [*ROWS, "1,2"])
    result = jrecipe(command, "t.csv")
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "jrecipe: error: t.csv, line 62: 2 cells, but the header has 3 columns; correct the line "
        "(cells are separated by ','). 'jrecipe inspect t.csv' shows all that is damaged.\n"
    )


@pytest.mark.parametrize("rows", [1, 3])
def test_too_few_examples_to_compare_are_skipped(tmp_path, rows):
    table(tmp_path / "t.csv", ROWS[:rows])
    code, found = findings("t.csv")
    assert code == 0
    assert {f["verdict"] for f in found} == {"SKIPPED"}
    assert {f["check"] for f in found} >= {"duplicates", "corrupt", "imbalance", "label-noise"}
    verb = "is" if rows == 1 else "are"
    assert f"{verb} too few: nothing can be compared." in found[0]["finding"]


def test_a_single_training_example_is_too_few(tmp_path):
    (tmp_path / "pair").mkdir()
    for name, rows in (("train", ROWS[:1]), ("val", ROWS[:20]), ("test", ROWS[20:])):
        table(tmp_path / "pair" / f"{name}.csv", rows)
    code, found = findings("pair")
    assert code == 0
    assert {f["finding"] for f in found} == {
        "1 training example is too few: nothing can be compared."
    }


def test_a_single_class_fails_and_the_rest_is_inspected(tmp_path):
    table(tmp_path / "t.csv", [row[:-1] + "a" for row in [*ROWS, *ROWS[:20]]])
    code, found = findings("t.csv")
    assert code == 1
    (failed,) = [f for f in found if f["check"] == "imbalance"]
    assert failed["verdict"] == "FAILED"
    assert "are of one class, a: nothing to learn" in failed["finding"]
    copies = next(f for f in found if f["check"] == "duplicates")
    assert copies["verdict"] != "SKIPPED"


def test_where_all_is_damaged_it_is_one_line(tmp_path):
    table(tmp_path / "t.csv", ["1,2,3,a"] * 9)
    result = jrecipe("inspect", "t.csv")
    assert (result.code, result.out) == (2, "")
    assert len(result.err.splitlines()) == 1
    assert "9 pieces are damaged: t.csv:2: 4 cells" in result.err
