"""Texts of sets that TensorFlow Datasets has prepared, as rows like those of files."""

from __future__ import annotations

import numpy as np
import pytest
from tfds_sets import write_set

import jrecipe as jr
from jrecipe import finetune

tfds = pytest.importorskip("tensorflow_datasets")
features = tfds.features


def write_reviews(root):
    labels = features.ClassLabel(names=["bad", "good"])
    made = {
        split: [{"sentence": f"{split} {i} \u00fc", "label": i % 2} for i in range(n)]
        for split, n in (("train", 6), ("validation", 3))
    }
    hidden = [{"sentence": "test", "label": -1}]  # as GLUE keeps them back
    kinds = {"sentence": features.Text(), "label": labels}
    write_set(root, "tiny_reviews", kinds, {**made, "test": hidden})


def test_texts_and_names_of_classes_are_rows_and_labels_kept_back_no_test(tmp_path):
    write_reviews(tmp_path)
    splits = finetune.read_splits("tfds:tiny_reviews", data_dir=tmp_path)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 6, "val": 3}
    assert splits["train"][1] == {"sentence": "train 1 \u00fc", "label": "good"}
    assert "tfds:tiny_reviews train" in splits["train"].place(0)


def test_without_a_validation_split_one_is_cut(tmp_path):
    kinds = {"text": features.Text(), "stars": features.Scalar(np.float32)}
    rows = [{"text": f"text {i}", "stars": i / 4} for i in range(10)]
    write_set(tmp_path, "tiny_stars", kinds, {"train": rows})
    splits = finetune.read_splits("tfds:tiny_stars", data_dir=tmp_path, val_share=0.2)
    assert (len(splits["train"]), len(splits["val"])) == (8, 2)
    found = sorted(row["stars"] for part in splits.values() for row in part)
    assert found == [i / 4 for i in range(10)]


def test_every_record_is_read_once_however_many_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("jrecipe.data.tfds._CHUNK", 4)
    rows = [{"text": f"text {i}"} for i in range(11)]
    splits = {"train": rows, "validation": rows[:4]}
    write_set(tmp_path, "tiny_texts", {"text": features.Text()}, splits)
    found = finetune.read_splits("tfds:tiny_texts", data_dir=tmp_path)
    assert list(found["train"]) == rows
    assert list(found["val"]) == rows[:4]


def test_words_and_their_tags_are_lists(tmp_path):
    tags = features.ClassLabel(names=["O", "B-PER"])
    kinds = {"tokens": features.Sequence(features.Text()), "tags": features.Sequence(tags)}
    rows = [{"tokens": ["anna", "runs"], "tags": [1, 0]}, {"tokens": ["so"], "tags": [0]}]
    write_set(tmp_path, "tiny_names", kinds, {"train": rows, "validation": rows})
    first, second = finetune.read_splits("tfds:tiny_names", data_dir=tmp_path)["train"]
    assert first == {"tokens": ["anna", "runs"], "tags": ["B-PER", "O"]}
    assert second == {"tokens": ["so"], "tags": ["O"]}


def test_answers_are_those_of_a_file(tmp_path):
    answers = features.Sequence({"text": features.Text(), "answer_start": np.int32})
    kinds = {"context": features.Text(), "question": features.Text(), "answers": answers}
    row = {
        "context": "anna lives in paris .",
        "question": "who ?",
        "answers/text": ["anna", "paris"],
        "answers/answer_start": [0, 14],
    }
    write_set(tmp_path, "tiny_answers", kinds, {"train": [row], "validation": [row]})
    (found,) = finetune.read_splits("tfds:tiny_answers", data_dir=tmp_path)["train"]
    assert found["answers"] == [{"text": "anna", "start": 0}, {"text": "paris", "start": 14}]


def test_an_unknown_set_is_named():
    with pytest.raises(jr.TaskError, match="tfds:no_such_set_at_all"):
        finetune.read_splits("tfds:no_such_set_at_all")
