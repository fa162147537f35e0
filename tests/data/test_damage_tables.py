"""A2: what is damaged in a table is collected with its line, and training refuses it."""

import csv
import gzip
import json

import numpy as np
import pytest

from jrecipe import data
from jrecipe.data.csv_rows import csv_rows
from jrecipe.data.odd_targets import odd_kinds
from jrecipe.types import TaskError

RNG = np.random.default_rng(0)
ROWS = [f"{a:.3f},{b:.3f},{'ab'[i % 2]}" for i, (a, b) in enumerate(RNG.normal(size=(40, 2)))]
CSV = ["x,y,label", *ROWS]
JSONL = [json.dumps({"x": float(a), "label": i % 2}) for i, a in enumerate(RNG.normal(size=40))]
NUMBERS = ["x,y", *(f"{a:.3f},{b:.3f}" for a, b in RNG.normal(size=(40, 2)))]
CLASSES = ["x,y", *(f"{a:.3f},{i % 2}" for i, a in enumerate(RNG.normal(size=40)))]


def write(path, lines, encoding="utf-8"):
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path


def at(lines, **new):
    """Returns the lines with others in place of some: `at(lines, _3="...")` replaces the third."""
    changed = list(lines)
    for name, line in new.items():
        changed[int(name[1:]) - 1] = line
    return changed


def told(splits, folder):
    return [str(piece).removeprefix(f"{folder}/") for piece in splits.damage]


def count(splits):
    return len(splits.train) + len(splits.val) + len(splits.test)


@pytest.mark.parametrize(
    ("name", "lines", "says"),
    [
        (
            "a.csv",
            at(CSV, _17="1,2,3,a", _20="1"),
            [
                "a.csv:17: 4 cells, but the header has 3 columns",
                "a.csv:20: 1 cells, but the header has 3 columns",
            ],
        ),
        ("a.csv", at(CSV, _12="1,\0\0,a"), ["a.csv:12: holds NUL bytes"]),
        ("a.csv", at(CSV, _5='1,"2,a'), ["a.csv:5: a quote is opened and not closed"]),
        # The next quote closes the first, so that the rows between look like one cell.
        (
            "a.csv",
            at(CSV, _5='1,"2,a', _30='"0.5",1,b'),
            ["a.csv:5: a quote is opened and not closed"],
        ),
        (
            "a.csv",
            at(CSV, _5='1,"2,a', _30='0.5,1",b,c,d,e'),
            [
                "a.csv:5: a quote is opened and not closed",
                "a.csv:30: 6 cells, but the header has 3 columns",
            ],
        ),
        ("a.csv", at(CSV, _6='1,"2"x,a'), ["a.csv:6: a quote stands inside of a quoted cell"]),
        ("a.jsonl", at(JSONL, _3='{"x": 1,'), ["a.jsonl:3: no JSON (Expecting property name"]),
        ("a.jsonl", at(JSONL, _4="[1]"), ["a.jsonl:4: holds '[1]', no object"]),
        ("a.jsonl", at(JSONL, _5='{"x": [1], "label": 1}'), ["a.jsonl:5: 'x' holds a list"]),
        (
            "a.jsonl",
            at(JSONL, _6='{"x": %s, "label": 1}' % ("9" * 5000)),
            ["a.jsonl:6: a number has thousands of digits"],
        ),
        (
            "a.jsonl",
            at(JSONL, _6='{"x": %s, "label": 1}' % ("9" * 400), _7='{"x": -Infinity, "label": 1}'),
            ["a.jsonl:6: 'x' is infinite, or too large", "a.jsonl:7: 'x' is infinite"],
        ),
        ("a.jsonl", at(JSONL, _8="[" * 100_000), ["a.jsonl:8: brackets are nested too deeply"]),
    ],
)
def test_damaged_lines_are_told_with_their_number_and_the_rest_is_read(tmp_path, name, lines, says):
    path = write(tmp_path / name, lines)
    splits = data.load(path, skip_damaged=True)
    found = told(splits, tmp_path)
    assert len(found) == len(says)
    for piece, said in zip(found, says, strict=True):
        assert piece.startswith(said)
    assert count(splits) == 40 - len(says)
    assert all(piece.stops and piece.what == "line" for piece in splits.damage)
    first = splits.damage[0]
    with pytest.raises(TaskError) as caught:
        data.load(path)
    assert str(caught.value).startswith(f"{path}, line {first.line}: {first.reason}; ")
    assert str(caught.value).endswith(f"'jrecipe inspect {path}' shows all that is damaged.")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("a.csv", CSV),
        ("a.csv", at(CSV, _3='1,2,"a"', _9='"1","2",b')),
        ("a.csv", ["text,label"] + [f'"one, two\nthree {i}",{i % 2}' for i in range(40)]),
        ("a.jsonl", JSONL),
        ("a.jsonl", at(JSONL, _7='{"x": NaN, "label": 1}', _9='{"label": 1}')),  # missing values
        ("a.csv", NUMBERS),
        ("a.csv", CLASSES),
    ],
)
def test_sound_tables_have_no_damage(tmp_path, name, lines):
    path = write(tmp_path / name, lines)
    splits = data.load(path, skip_damaged=True)
    assert splits.damage == ()
    assert count(splits) == 40
    again = data.load(path)
    np.testing.assert_array_equal(splits.train.inputs, again.train.inputs)


def test_another_encoding_is_told_of_the_lines_that_show_it(tmp_path):
    path = write(tmp_path / "a.csv", at(CSV, _9="1,2,Größe", _11="1,3,größer"), "latin-1")
    splits = data.load(path, skip_damaged=True)
    assert told(splits, tmp_path) == [
        "a.csv:9: not UTF-8 (byte 0xf6 at character 7)",
        "a.csv:11: not UTF-8 (byte 0xf6 at character 7)",
    ]
    assert count(splits) == 38
    assert splits.damage[0].fix == "save the file as UTF-8"
    with pytest.raises(TaskError, match=r"line 1: UTF-16, not UTF-8.*save the file as UTF-8"):
        data.load(write(path, CSV, "utf-16"), skip_damaged=True)
    sound = data.load(write(path, at(CSV, _9="1,2,Größe")), skip_damaged=True)
    assert sound.damage == ()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_rows_above_the_end_of_a_cut_archive_are_kept(tmp_path, suffix):
    values = enumerate(RNG.normal(size=2000))
    if suffix == "csv":
        lines = ["x,label", *(f"{value:.3f},{i % 2}" for i, value in values)]
    else:
        lines = [json.dumps({"x": value, "label": i % 2}) for i, value in values]
    path = tmp_path / f"a.{suffix}.gz"
    packed = gzip.compress("\n".join(lines).encode())
    path.write_bytes(packed[: len(packed) * 2 // 3])
    splits = data.load(path, skip_damaged=True)
    (piece,) = splits.damage
    assert piece.line + 1 < len(lines)
    assert count(splits) == piece.line - (suffix == "csv")  # the header is no row
    assert 1200 < count(splits) < 1400
    assert piece.reason == (
        "the archive is damaged or cut short after this line (its end is missing)"
    )
    with pytest.raises(TaskError, match=rf"line {piece.line}: the archive .* get it again"):
        data.load(path)
    path.write_bytes(packed)
    assert data.load(path, skip_damaged=True).damage == ()


def test_a_wrong_checksum_of_an_archive_is_told(tmp_path):
    packed = bytearray(gzip.compress("\n".join(CSV).encode()))
    packed[-6] ^= 255
    path = tmp_path / "a.csv.gz"
    path.write_bytes(packed)
    splits = data.load(path, skip_damaged=True)
    assert [piece.reason for piece in splits.damage] == [
        "the archive is damaged or cut short after this line (wrong checksum)"
    ]
    assert count(splits) >= 39
    path.write_bytes(b"x,label\n1,a\n")
    with pytest.raises(TaskError, match=r"no rows that can be read.*no gzip file"):
        data.load(path, skip_damaged=True)


def test_rows_without_a_target_are_told_and_training_does_without(tmp_path):
    path = write(tmp_path / "a.csv", at(CSV, _5="1,2,"))
    splits = data.load(path, skip_damaged=True)
    assert told(splits, tmp_path) == ["a.csv:5: no target 'label'"]
    assert not splits.damage[0].stops
    assert count(data.load(path)) == 39
    path = write(tmp_path / "a.jsonl", at(JSONL, _7='{"x": 1}', _9='{"x": 1, "label": NaN}'))
    lines = [piece.line for piece in data.load(path, skip_damaged=True).damage]
    assert lines == [7, 9]


@pytest.mark.parametrize(
    ("lines", "said", "stops"),
    [
        (at(CLASSES, _9="1,cat"), "target 'cat' is no number, as the others are", False),
        (at(NUMBERS, _9="1,high"), "target 'high' is no number, as the others are", True),
        (at(NUMBERS, _9="1,inf"), "target inf is not finite, or too large", True),
        (at(NUMBERS, _9="1,1e300"), "target 1e300 is not finite, or too large", True),
        (at(CSV, _9="1,2,7"), "target '7' is a number, while the others are words", False),
    ],
)
def test_a_few_targets_of_another_kind_are_told(tmp_path, lines, said, stops):
    path = write(tmp_path / "a.csv", lines)
    splits = data.load(path, skip_damaged=True)
    assert told(splits, tmp_path) == [f"a.csv:9: {said}"]
    assert (count(splits), splits.damage[0].stops) == (39, stops)
    if stops:
        with pytest.raises(TaskError, match=f"line 9: {said}"):
            data.load(path)
    else:
        training = data.load(path)
        assert (count(training), len(training.class_names)) == (40, 3)
        assert any("1 of 40 are of another kind than the rest" in note for note in training.notes)


def test_many_words_among_numbers_are_classes(tmp_path):
    lines = [line if i % 4 else line.rpartition(",")[0] + ",no" for i, line in enumerate(CLASSES)]
    splits = data.load(write(tmp_path / "a.csv", ["x,y", *lines[1:]]), skip_damaged=True)
    assert splits.damage == ()
    assert splits.class_names == ("0", "1", "no")


def test_the_share_that_parts_damage_from_words():
    numbers = [0.5 + i for i in range(19)]
    assert odd_kinds([*numbers, "high"]) == {"word": True}  # 1 of 20
    assert odd_kinds([*numbers[:-1], "high"]) == {}  # 1 of 19
    assert odd_kinds([*numbers, "high"], "classes") == {"word": False}


def test_a_test_file_that_cannot_be_read_leaves_the_training_file(tmp_path):
    write(tmp_path / "train.csv", CSV)
    for lines, said in (
        (["x,y,label"], "has no rows that can be read"),
        (["x,label", "1,a"], "no column 'y', which train.csv has"),
    ):
        write(tmp_path / "test.csv", lines)
        splits = data.load(tmp_path, skip_damaged=True)
        (piece,) = splits.damage
        assert (piece.what, piece.place) == ("file", str(tmp_path / "test.csv"))
        assert piece.reason.startswith(said)
        assert count(splits) == 40
        with pytest.raises(TaskError, match=r"test\.csv"):
            data.load(tmp_path)


def test_where_everything_is_damaged_the_first_places_are_told(tmp_path):
    path = write(tmp_path / "a.csv", ["x,y,label"] + ["1,2,3,a"] * 30)
    with pytest.raises(TaskError) as caught:
        data.load(path, skip_damaged=True)
    said = str(caught.value)
    assert "no rows that can be read" in said
    assert "30 pieces are damaged" in said
    assert f"{path}:2: 4 cells" in said
    assert said.endswith("and 27 more.")
    assert "\n" not in said


@pytest.mark.parametrize("examples", [1, 2, 3])
def test_splits_that_cannot_be_cut_are_empty(tmp_path, examples):
    path = write(tmp_path / "a.csv", CSV[: 1 + examples])
    splits = data.load(path, skip_damaged=True)
    assert count(splits) == examples
    assert len(splits.val) == 0
    assert any("too few examples to cut one" in note for note in splits.notes)
    with pytest.raises(TaskError, match=r"too few to cut|two values or more"):
        data.load(path)


def test_a_single_class_is_read(tmp_path):
    path = write(tmp_path / "a.csv", ["x,label", *(f"{i},a" for i in range(20))])
    splits = data.load(path, skip_damaged=True)
    assert splits.class_names == ("a",)
    assert [piece.what for piece in splits.damage] == ["only"]
    with pytest.raises(TaskError, match="all targets are 'a'; classes need two values or more"):
        data.load(path)


def test_rows_of_a_quoted_cell_that_goes_over_lines_are_one_row():
    lines = ["t,l\n", '"a\n', 'b",1\n', '"c\n', 'd",1,2\n', "e,3\n"]
    rows = list(csv_rows(lines, ","))
    assert [(row.first, row.last) for row in rows] == [(0, 0), (1, 2), (3, 4), (5, 5)]
    assert [row.cells and len(row.cells) for row in rows] == [2, 2, 3, 2]


def test_a_cell_of_a_megabyte_is_read_and_the_process_keeps_its_limit(tmp_path):
    before = csv.field_size_limit()
    long = "word " * 200_000
    lines = "".join(f"some words of a text {i},{'ab'[i % 2]}\n" for i in range(40))
    (tmp_path / "t.csv").write_text(f"text,label\n{long},a\n{lines}")
    splits = data.load(str(tmp_path / "t.csv"), skip_damaged=True)
    assert splits.damage == ()
    assert max(len(text) for texts in splits.texts.values() for text in texts) == len(long)
    assert csv.field_size_limit() == before
