"""Files of examples become rows, and a damaged line is named."""

from __future__ import annotations

import gzip
import json

import pytest

from jrecipe.finetune.rows import TextRows, as_rows, read_rows
from jrecipe.types import TaskError

SQUAD = {
    "data": [
        {
            "title": "Cats",
            "paragraphs": [
                {
                    "context": "The cat sat.",
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Who sat?",
                            "answers": [{"text": "cat", "answer_start": 4}],
                        }
                    ],
                }
            ],
        }
    ]
}
FLAT = {"text": "a", "label": 1}


def written(folder, name, text):
    path = folder / name
    opened = gzip.open if name.endswith(".gz") else open
    with opened(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("a.csv", 'text,label\n"a, b",1\nc,0\n', [("a, b", "1"), ("c", "0")]),
        ("a.tsv.gz", "text\tlabel\na\t1\n", [("a", "1")]),
        ("a.jsonl", '{"text": "a", "label": 1}\n\n{"text": "b", "label": null}\n', None),
        ("a.jsonl.gz", '{"text": "a\u2028b", "label": 1}\n', [("a\u2028b", 1)]),
        ("a.json", '[{"text": "a", "label": 1}]', [("a", 1)]),
    ],
)
def test_tables_and_json_lines(tmp_path, name, text, rows):
    found = read_rows(written(tmp_path, name, text))
    expected = rows or [("a", 1), ("b", None)]
    assert [(row["text"], row["label"]) for row in found] == expected
    assert str(tmp_path / name) in found.place(0)


def test_lines_are_those_of_the_file(tmp_path):
    found = read_rows(written(tmp_path, "a.jsonl", f"\n{json.dumps(FLAT)}\n\n{json.dumps(FLAT)}\n"))
    assert found.lines == (2, 4)
    assert found.place(1).endswith("a.jsonl, line 4")


@pytest.mark.parametrize("separator", [" ", "\t", " x "])
def test_columns_of_words_and_tags(tmp_path, separator):
    lines = ["-DOCSTART- O", "", "New B-LOC", "York I-LOC", "", "", "# O", ""]
    text = "\r\n".join(line.replace(" ", separator) for line in lines)
    found = read_rows(written(tmp_path, "a.conll", text))
    assert [dict(row) for row in found] == [
        {"tokens": ["New", "York"], "tags": ["B-LOC", "I-LOC"]},
        {"tokens": ["#"], "tags": ["O"]},
    ]
    assert found.lines == (3, 7)


def test_words_with_spaces_stand_between_tabs(tmp_path):
    (row,) = read_rows(written(tmp_path, "a.txt", "New York\tB-LOC\n"))
    assert row["tokens"] == ["New York"]


def test_squad(tmp_path):
    (row,) = read_rows(written(tmp_path, "dev.json", json.dumps(SQUAD)))
    assert row["answers"] == [{"text": "cat", "start": 4}]
    assert (row["question"], row["context"], row["title"]) == ("Who sat?", "The cat sat.", "Cats")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: no JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl, line 1: needs an object"),
        ("a.jsonl", "\n", "has no rows"),
        ("a.jsonl", b'{"text": "a"}\n\xff\n', "line 2: not UTF-8"),
        ("a.csv", "text,label\na,1\nb\n", "a.csv, line 3: 1 cells"),
        ("a.conll", "a O\nb\n", "a.conll, line 2: needs a word and a tag"),
        ("a.conll", "a O\nb X O\n", "a.conll, line 2: needs a word and a tag in 2 columns"),
        ("a.json", '{"a": 1}', "SQuAD's object with 'data'"),
        ("a.json", '{"data": [{"paragraphs": [{"qas": [{}]}]}]}', "question 0: not as SQuAD"),
        ("a.json", "{", "no JSON"),
        ("a.parquet", "", "needs a name that ends in"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path, name, text, message):
    with pytest.raises(TaskError, match=message):
        read_rows(written(tmp_path, name, text))


def test_files_that_are_not_there_or_cut_short(tmp_path):
    with pytest.raises(TaskError, match="does not exist"):
        read_rows(tmp_path / "a.jsonl")
    whole = written(tmp_path, "a.jsonl.gz", json.dumps(FLAT)).read_bytes()
    (tmp_path / "b.jsonl.gz").write_bytes(whole[:-6])
    (tmp_path / "c.jsonl.gz").write_bytes(b"no gzip")
    for name in ("b.jsonl.gz", "c.jsonl.gz"):
        with pytest.raises(TaskError, match="damaged or cut short"):
            read_rows(tmp_path / name)


def test_lists_of_dicts_are_rows_too():
    rows = as_rows([FLAT])
    assert isinstance(rows, TextRows)
    assert rows.place(0) == "row 0"
    assert as_rows(rows) is rows
    with pytest.raises(TaskError, match="rows are empty"):
        as_rows([])
    with pytest.raises(TaskError, match="row 0 needs a dict"):
        as_rows(["a"])
    with pytest.raises(TaskError, match="read_rows"):
        as_rows("a.jsonl")
