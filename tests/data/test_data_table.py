import gzip
import json

import numpy as np
import pytest

from jrecipe.data.encode import TabularEncoder, TextEncoder
from jrecipe.data.table import load_table
from jrecipe.data.table_file import read_table
from jrecipe.types import TaskError

RNG = np.random.default_rng(0)


def write(path, text, encoding="utf-8"):
    data = text.encode(encoding)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def people(n=40):
    rows = [
        f"{20 + i % 30},{'red' if i % 2 else 'blue'},{'yes' if i % 4 else 'no'}" for i in range(n)
    ]
    return "age,colour,likes\n" + "\n".join(rows) + "\n"


def reviews(n=40):
    rows = [
        {"text": f"a very {'good' if i % 2 else 'bad'} film number {i}", "label": i % 2}
        for i in range(n)
    ]
    return "\n".join(json.dumps(row) for row in rows)


@pytest.mark.parametrize("end", ["csv", "csv.gz", "tsv"])
def test_a_table_of_numbers_and_categories(tmp_path, end):
    text = people().replace(",", "\t") if end == "tsv" else people()
    splits = load_table(write(tmp_path / f"people.{end}", text), seed=2)
    assert splits.name == "people"
    assert isinstance(splits.encoder, TabularEncoder)
    assert splits.encoder.feature_names == ("age", "colour=blue", "colour=red", "colour is other")
    assert splits.class_names == ("no", "yes")
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [26, 6, 8]
    assert np.bincount(splits.test.targets).tolist() == [2, 6]
    assert "'likes', was taken as the target" in splits.notes[0]


def test_cells_stay_with_their_rows(tmp_path):
    lines = [f"{i},{3 * i if i != 7 else ''}" for i in range(50)]
    splits = load_table(write(tmp_path / "a.csv", "x,y\n" + "\n".join(lines)), kind="number")
    for source in (splits.train, splits.val, splits.test):
        x = source.inputs[:, 0] * splits.encoder.columns[0].std + splits.encoder.columns[0].mean
        np.testing.assert_allclose(source.targets, 3 * x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("end", ["jsonl", "jsonl.gz", "ndjson"])
def test_json_lines_of_text(tmp_path, end):
    splits = load_table(write(tmp_path / f"reviews.{end}", reviews()))
    assert isinstance(splits.encoder, TextEncoder)
    assert splits.encoder.column == "text"
    assert splits.kind == "classes"
    for source in (splits.train, splits.test):
        words = splits.encoder.decode(source.inputs)
        for text, target in zip(words, source.targets, strict=True):
            assert ("good" if target else "bad") in text.split()


def test_the_target_can_be_chosen(tmp_path):
    splits = load_table(write(tmp_path / "a.csv", people()), target="colour")
    assert splits.class_names == ("blue", "red")
    with pytest.raises(TaskError, match=r"no column 'size'.* 'age', 'colour', 'likes'"):
        load_table(tmp_path / "a.csv", target="size")


def test_a_folder_of_splits(tmp_path):
    write(tmp_path / "train.csv", people(40))
    write(tmp_path / "dev.csv.gz", people(12))
    write(tmp_path / "test.tsv", people(16).replace(",", "\t"))
    splits = load_table(tmp_path)
    assert [len(s) for s in (splits.train, splits.val, splits.test)] == [40, 12, 16]
    write(tmp_path / "test.tsv", "age\tlikes\n3\tyes\n")
    with pytest.raises(TaskError, match=r"test\.tsv: no column 'colour'"):
        load_table(tmp_path)


def test_rows_without_a_target_are_left_out_and_it_is_said(tmp_path):
    text = people().replace("20,blue,no", "20,blue,")
    splits = load_table(write(tmp_path / "a.csv", text))
    assert "1 of 40 rows of a.csv have no target 'likes'" in splits.notes[1]
    assert "line 2" in splits.notes[1]
    assert sum(len(s) for s in (splits.train, splits.val, splits.test)) == 39


def test_other_columns_than_the_text_are_left_out_and_it_is_said(tmp_path):
    rows = [
        json.loads(line) | {"id": i, "stars": i % 2} for i, line in enumerate(reviews().split("\n"))
    ]
    splits = load_table(write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows))))
    assert isinstance(splits.encoder, TextEncoder)
    assert "left out: 'id', 'stars'" in splits.notes[0]


def test_row_numbers_are_no_feature(tmp_path):
    lines = people().splitlines()
    text = "\n".join(["id," + lines[0], *(f"{i},{line}" for i, line in enumerate(lines[1:]))])
    splits = load_table(write(tmp_path / "a.csv", text))
    assert "id" not in splits.encoder.feature_names
    assert any("'id'" in note for note in splits.notes)


def test_files_without_a_header_are_read(tmp_path):
    lines = [f"{RNG.normal():.3f};{RNG.normal():.3f};{'ab'[i % 2]}" for i in range(20)]
    splits = load_table(write(tmp_path / "a.csv", "\n".join(lines)))
    assert splits.encoder.feature_names == ("c0", "c1")
    assert any("no header" in note for note in splits.notes)
    assert sum(len(s) for s in (splits.train, splits.val, splits.test)) == 20


def test_quotes_blank_lines_and_a_byte_order_mark(tmp_path):
    text = '\ufefftext,label\n"one, ""two""\nthree",a\n\nplain,b\n'
    table = read_table(write(tmp_path / "a.csv", text))
    assert table.columns == {"text": ['one, "two"\nthree', "plain"], "label": ["a", "b"]}
    assert table.lines == [3, 5]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "x,y\n1,2\n1,2,3\n", "line 3: 3 cells, but the header has 2"),
        ("a.csv", "x,x\n1,2\n", "column 'x' occurs twice"),
        ("a.csv", 'x,y\n1,"2\n', "line 2: a quote is opened and not closed"),
        ("a.csv", "x,y\n", "no rows"),
        ("a.csv", "", "no rows"),
        ("a.csv", "y\n1\n0\n", "no column besides the target"),
        ("a.csv", "x,y\n1,\n2,\n", "empty in all 2 rows"),
        ("a.csv", "x,y\n1,1\n2,1\n3,1\n", "all targets are 1"),
        ("a.jsonl", '{"x": 1, "y": 2}\n{"x": 1,\n', "line 2: no JSON"),
        ("a.jsonl", '{"x": 1, "y": 2}\n[1, 2]\n', r"line 2: holds .\[1, 2\]., no object"),
        ("a.jsonl", '{"x": [1], "y": 2}\n', "line 1: 'x' holds a list; give one number or text"),
        ("a.txt", "x", "no table"),
    ],
)
def test_damaged_tables_are_named_with_their_line(tmp_path, name, text, words):
    with pytest.raises(TaskError, match=words) as caught:
        load_table(write(tmp_path / name, text))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_encoding_is_named_with_its_line(tmp_path):
    path = write(
        tmp_path / "a.csv", "text,label\nGrün,1\nfein,0\n".replace("fein", "Größe"), "latin-1"
    )
    with pytest.raises(TaskError, match=r"a\.csv, line 2: not UTF-8"):
        load_table(path)


def test_a_cut_archive_is_named(tmp_path):
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(people().encode())[:-20])
    with pytest.raises(TaskError, match="cut short"):
        load_table(path)
    with pytest.raises(TaskError, match="does not exist"):
        load_table(tmp_path / "b.csv")
