"""Which file is which split (A5)."""

from __future__ import annotations

import json

import numpy as np
import pytest

import jrecipe as jr
from jrecipe.finetune.row_splits import read_splits, rows_at
from jrecipe.finetune.rows import read_rows


def write(path, n, first=0):
    rows = [{"text": f"text {first + i}", "label": i % 2} for i in range(n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts(rows):
    return [row["text"] for row in rows]


def test_a_folder_is_read_by_the_names_of_its_files(tmp_path):
    write(tmp_path / "train.jsonl", 6)
    write(tmp_path / "validation.jsonl", 3, 10)
    write(tmp_path / "test.jsonl", 2, 20)
    (tmp_path / "README.md").write_text("words")
    splits = read_splits(tmp_path)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 6, "val": 3, "test": 2}
    assert texts(splits["val"]) == ["text 10", "text 11", "text 12"]


def test_without_validation_rows_a_share_is_drawn_by_the_seed_and_none_is_lost(tmp_path):
    path = write(tmp_path / "all.jsonl", 40)
    splits = read_splits(path, seed=1, val_share=0.25)
    assert len(splits["val"]) == 10
    assert sorted(texts(splits["train"]) + texts(splits["val"])) == sorted(texts(read_rows(path)))
    assert texts(read_splits(path, seed=1, val_share=0.25)["val"]) == texts(splits["val"])
    assert texts(read_splits(path, seed=2, val_share=0.25)["val"]) != texts(splits["val"])


def test_rows_that_are_taken_know_their_lines(tmp_path):
    rows = read_rows(write(tmp_path / "all.jsonl", 5))
    taken = rows_at(rows, np.array([4, 1]))
    assert texts(taken) == ["text 4", "text 1"]
    assert [taken.place(i).rpartition(" ")[2] for i in range(2)] == ["5", "2"]


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(jr.TaskError, match="call it train"):
        read_splits(tmp_path)
    write(tmp_path / "train.jsonl", 1)
    with pytest.raises(jr.TaskError, match="at least 2"):
        read_splits(tmp_path)
    write(tmp_path / "train.jsonl", 4)
    write(tmp_path / "dev.jsonl", 4)
    write(tmp_path / "valid.jsonl", 4)
    with pytest.raises(jr.TaskError, match="for one split"):
        read_splits(tmp_path)
