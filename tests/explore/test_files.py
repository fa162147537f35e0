"""Picture files in the explorer: columns, shortcuts by them, and hostile names."""

from __future__ import annotations

import contextlib
import csv
import io
import re

import numpy as np
import pytest
from PIL import Image

from jrecipe.checks.result import Verdict
from jrecipe.data import load
from jrecipe.explore import copies_csv, data_of, survey, suspects_csv
from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.files import file_columns, name_columns
from jrecipe.explore.findings import judge_trivial
from jrecipe.explore.gather import gather
from jrecipe.explore.name_words import word_table, words_of
from jrecipe.explore.page import render
from jrecipe.explore.probe import Probe
from jrecipe.explore.surveying import Survey
from jrecipe.explore.trivial import WORDS, trivial_scores

EACH = 60
SIZES = {"width", "height", "aspect", "bytes"}
HOSTILE = (
    "<script>alert(1)<|script>.png",
    "a \"quoted\" 'name' & more.png",
    "\u202egnp.exe\u202c.png",
    "new\nline.png",
    "=1+1;$(reboot).png",
)


def write(root, name, rng, size=(24, 20), **how):
    """Writes noise that says nothing of its class."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **how)


def pets(root, name=lambda k, i, rng: f"IMG_{rng.integers(10**4):04d}_{i}.png", **of_class):
    """Writes two classes; `of_class` holds functions of (class, rng) for `write`."""
    rng = np.random.default_rng(0)
    for k, folder in enumerate(("cat", "dog")):
        for i in range(EACH):
            how = {key: value(k, rng) for key, value in of_class.items()}
            write(root / folder, name(k, i, rng), rng, **how)
    return root


def surveyed(root, right=0.5):
    """Returns the survey of a folder, with a probe that is right on a share of the rows."""
    gathered = gather(data_of(root))
    n = len(gathered)
    targets = np.asarray(gathered.targets)
    answers = np.eye(2, dtype=np.float32)[np.where(np.arange(n) < right * n, targets, 1 - targets)]
    probed = Probe("classes", answers, targets, np.arange(2), np.zeros(n, np.float32), right)
    place = Column("row", gathered.row)
    columns = (place, *file_columns(gathered))
    examples = Examples("pets", (*columns, *name_columns(gathered)), gathered.view, np.arange(n))
    return Survey(gathered, None, probed, None, columns, examples)


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    ("how", "where"),
    [
        ({"size": lambda k, rng: (24, 20 + 8 * k)}, SIZES - {"width"}),
        ({"size": lambda k, rng: tuple((24, 20)[:: 1 - 2 * k])}, SIZES),
        ({"name": lambda k, i, rng: f"{i}.{('png', 'jpg')[k]}"}, {"format", "bytes", WORDS}),
        ({"name": lambda k, i, rng: f"cam{k + 1}_IMG{rng.integers(1000)}-{i}.png"}, {WORDS}),
        ({"name": lambda k, i, rng: f"site {'AB'[k]}/{i}.png"}, {WORDS}),
    ],
    ids=["height", "turned", "format", "camera", "folder"],
)
def test_what_tells_the_class_is_found(tmp_path, how, where):
    told = judge_trivial(surveyed(pets(tmp_path / "pets", **how)))
    assert told.verdict is Verdict.WARNED
    (suspect,) = told.suspects
    assert (suspect.cause, suspect.where) == ("shortcut", told.evidence["best"])
    assert suspect.where in where
    evidence = told.evidence
    assert 0.9 < evidence["best_low"] < evidence["best_accuracy"] == evidence["best_high"] == 1.0
    assert evidence["probe_low"] < evidence["probe_accuracy"] == 0.5 < evidence["probe_high"]
    low = evidence["best_low"]
    assert f"{100:.1f}% ({low:.1%} to 100.0%) of the labels" in told.finding
    found = {
        score.name for score in trivial_scores(surveyed(tmp_path / "pets")) if score.suspicious
    }
    assert found == where


def test_a_healthy_folder_is_silent(tmp_path):
    """Names, sizes and formats vary, but have nothing to do with the class; neither has the row."""
    root = pets(
        tmp_path / "pets",
        lambda k, i, rng: f"cam{rng.integers(1, 3)}/IMG_{i:04d}.{('png', 'jpg')[rng.integers(2)]}",
        size=lambda k, rng: tuple(rng.integers(15, 40, 2)),
    )
    found = surveyed(root)
    told = judge_trivial(found)
    assert (told.verdict, told.suspects) == (Verdict.PASSED, ())
    asked = {score.name: score.accuracy for score in trivial_scores(found)}
    files = {"bytes", "width", "height", "aspect", "format", "mode"}
    assert set(asked) == {*files, WORDS, "place in the file"}
    assert max(asked.values()) < 0.72


def test_a_probe_that_knows_more_than_the_name_silences_it(tmp_path):
    def name(k, i, rng):
        return f"cam{k if rng.random() < 0.8 else 1 - k}_{i}.png"

    root = pets(tmp_path / "pets", name)
    assert judge_trivial(surveyed(root, right=0.5)).verdict is Verdict.WARNED
    assert judge_trivial(surveyed(root, right=0.99)).verdict is Verdict.PASSED


@pytest.mark.parametrize("of", [("cat.", "dog."), ("Cats", "Dogs"), ("my-cat-", "my-dog-")])
def test_names_that_say_the_class_again_are_no_discovery(tmp_path, of):
    root = pets(tmp_path / "pets", lambda k, i, rng: f"{of[k]}{i}.png")
    assert judge_trivial(surveyed(root)).verdict is Verdict.PASSED


def test_the_words_that_tell_are_named_with_their_class(tmp_path):
    root = pets(tmp_path / "pets", lambda k, i, rng: f"{('scan', 'IMG')[k]}_{i}.png")
    told = judge_trivial(surveyed(root))
    assert re.search(r"the most telling: '(IMG' \(100% dog|scan' \(100% cat)\)", told.finding)


class TestWords:
    def test_numbers_are_kept_and_collapsed(self):
        assert words_of("cam2/IMG0012_3.JPG") == {
            *("cam2", "cam#", "IMG0012", "IMG#", "3", "#", "JPG"),
        }

    def test_only_frequent_words_that_not_all_have(self):
        names = [f"{'ab'[i % 2]}_{i}.png" for i in range(40)] + ["rare_7_a.png"]
        words, table = word_table(names)
        assert words == ("a", "b")
        assert table.sum(axis=0).tolist() == [21, 20]

    def test_words_of_classes_are_left_out_of_all_names(self):
        names = ["GoldenRetriever_x", "retrievers_y", "3_x", "33_y", "cat_x"] * 5
        words, _ = word_table(names, ["golden retriever", "3"])
        assert words == ("#", "33", "cat", "x", "y")

    def test_names_without_a_word(self):
        assert word_table(["___.png"] * 10)[1].shape == (10, 0)
        assert word_table(["\udcff\u202e.png", "ß一.png"] * 10)[0] == ("ß一",)


def test_columns_are_of_the_file_before_it_was_resized(tmp_path):
    rng = np.random.default_rng(1)
    root = pets(tmp_path / "pets")
    write(root / "cat", "deep/er/wide.png", rng, (50, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.new("L", (30, 20), 99).save(root / "dog" / "turned.jpg", exif=exif)
    Image.new("P", (7, 7)).save(root / "dog" / "is a gif.png", "GIF")
    rows = surveyed(root).examples
    assert len(set(rows["file"])) == 2 * EACH + 3

    def one(file):
        (row,) = np.flatnonzero(rows["file"] == file)
        return [rows[name][row] for name in ("width", "height", "format", "mode", "aspect")]

    assert one("cat/deep/er/wide.png") == [50, 10, "PNG", "RGB", 5.0]
    assert one("dog/turned.jpg") == [20, 30, "JPEG", "L", 20 / 30]
    assert one("dog/is a gif.png") == [7, 7, "GIF", "P", 1.0]
    for file, size in zip(rows["file"], rows["bytes"], strict=True):
        assert (root / file).stat().st_size == size
    small = rows.where(bytes=(None, 900)).sort("width")
    assert 0 < len(small) < len(rows)
    assert (np.diff(small["width"]) >= 0).all()
    shown = rows.where(file="cat/deep/er/wide.png").shown()
    assert shown.shape == (1, 20, 24, 3)


def test_files_are_named_by_their_split_and_tables_have_none(tmp_path):
    for split in ("train", "test"):
        pets(tmp_path / "pets" / split)
    found = gather(data_of(tmp_path / "pets"))
    (names,) = name_columns(found)
    for split, name in zip(found.split, names.values, strict=True):
        assert name.startswith("test/" if split == "test" else "train/")  # val is cut from train
    table = gather(data_of((np.ones((60, 3)), np.arange(60) % 2)))
    assert [*name_columns(table), *file_columns(table)] == []


@pytest.mark.exhaustive
def test_hostile_names_are_shown_as_names(tmp_path):
    root = pets(tmp_path / "pets")
    files = sorted((root / "cat").iterdir())
    for path, name in zip(files, HOSTILE, strict=False):
        path.rename(root / "cat" / name)
    with contextlib.suppress(OSError):  # of a file system that is all Unicode
        files[-1].rename(root / "cat" / b"\xff.png".decode("utf-8", "surrogateescape"))
    files[-2].write_bytes((root / "cat" / HOSTILE[0]).read_bytes())
    found = survey(data_of(root))
    names = [column.name for column in found.examples.columns]
    assert names[:4] == ["label", "split", "row", "file"]
    assert names[-6:] == ["width", "height", "aspect", "format", "mode", "bytes"]
    assert {f"cat/{name}" for name in HOSTILE} <= set(found.examples["file"])
    page = render(found.examples)
    page.encode()
    assert "<script>alert" not in page
    assert "\\u003cscript>alert(1)" in page
    assert "<script>alert" not in found.examples._repr_html_()
    for lists, name in ((copies_csv(found), "copy_file"), (suspects_csv(found), "file")):
        lists.encode()
        rows = list(csv.DictReader(io.StringIO(lists)))
        assert f"cat/{HOSTILE[0]}" in {row[name] for row in rows}
    assert len(rows) == 2 * EACH
    assert f"cat/{HOSTILE[3]}" in {row["file"] for row in rows}


def test_pictures_are_decoded_once(tmp_path, monkeypatch):
    root = pets(tmp_path / "pets")
    (root / "cat" / "empty.png").write_bytes(b"")
    decoded = []
    real = Image.Image.convert

    def counting(image, *args, **kwargs):
        decoded.append(image)
        return real(image, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "convert", counting)
    splits = load(root, skip_damaged=True)
    assert len(splits.damage) == 1
    assert len(decoded) == 2 * EACH
