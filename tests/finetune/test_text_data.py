"""Rows become what the networks for text take, and all that is lost is counted."""

from __future__ import annotations

import numpy as np
import pytest
from small_tokenizers import CLS, SEP, UNK, VOCABULARY, word_pieces, write_spiece

from jrecipe.finetune.classify_data import classify_data
from jrecipe.finetune.rows import read_rows
from jrecipe.finetune.score_data import score_data
from jrecipe.finetune.summary_data import summary_data
from jrecipe.finetune.tag_data import tag_data
from jrecipe.finetune.tokenizer import read_tokenizer, tokenizer_for
from jrecipe.types import Source, TaskError

BERT = tokenizer_for(word_pieces())
RATED = [
    {"text": "the cat sat", "label": 1},
    {"text": "a " * 20, "label": 0},
    {"text": "", "label": 1},
    {"text": "zebra the dog", "label": None},
    {"text": "zebra dog", "label": 0},
]
ALIKE = [
    {"s1": "a cat", "s2": "the dog sat on a mat", "score": 5},
    {"s1": "a", "s2": "b", "score": "2.5"},
]
TAGGED = [
    {"tokens": ["cats", "in", "new york"], "tags": ["O", "O", "B-LOC"]},
    {"tokens": ["\u200d", "paris"], "tags": ["O", "B-LOC"]},
    {"tokens": ["a"] * 10, "tags": ["O"] * 9 + ["I-LOC"]},
]
SUMMARIES = [
    {"text": "A red cat sees the house in Paris.", "summary": "A cat."},
    {"text": "My brother likes water.", "summary": ["My brother.", "He likes it."]},
]


def test_classes():
    data = classify_data(RATED, BERT, max_length=10)
    assert isinstance(data.source, Source)
    assert data.labels == ("0", "1")
    assert data.kept.tolist() == [0, 1, 2, 4]
    assert (data.rows, len(data), data.dropped, data.truncated, data.empty) == (5, 4, 1, 1, 1)
    inputs, targets = data.source.take(np.array([0, 2]))
    assert inputs["ids"].shape == (2, 10)
    assert inputs["ids"][1].tolist() == [CLS, SEP, *[0] * 8]
    assert inputs["mask"].sum(axis=1).tolist() == [5, 2]
    assert {name: part.dtype.name for name, part in inputs.items()} == {
        "ids": "int32",
        "mask": "bool",
        "types": "int32",
    }
    assert targets.tolist() == [1, 1]
    assert data.source.buckets.tolist() == [10, 10, 10, 10]
    assert data.source.take(np.arange(4))[0]["ids"].shape == (4, 10)
    assert data.unknown == 1 / (3 + 8 + 2)


def test_what_was_lost_is_said_with_numbers():
    notes = classify_data(RATED, BERT, max_length=10).notes
    assert notes == (
        "1 of 5 rows (20 %) without 'label' were left out.",
        "1 of 4 texts (25 %) were cut to 10 tokens; the longest has 22.",
        "1 of 4 texts (25 %) are empty; they are the special tokens and nothing else.",
        "1 of 13 tokens (7.7 %) are unknown to the tokenizer.",
    )
    assert classify_data(RATED[:1], BERT, max_length=10).notes == ()


def test_labels_of_the_training_data_number_the_others():
    data = classify_data(RATED[:1], BERT, labels=("0", "1"), max_length=10)
    assert data.source.targets.tolist() == [1]
    rows = [{"text": "a", "label": "0"}, {"text": "a", "label": 2.0}]
    with pytest.raises(TaskError, match=r"row 1: label '2' is unknown; known are 0, 1"):
        classify_data(rows, BERT, labels=[0, 1], max_length=10)
    with pytest.raises(TaskError, match="'0' twice"):
        classify_data(rows, BERT, labels=[0, "0"], max_length=10)
    names = classify_data([{"text": "a", "label": x} for x in (10, 9)], BERT, max_length=9).labels
    assert names == ("9", "10")


def test_a_table_and_json_lines_give_the_same(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nthe cat,1\na dog,0\n,1\nb,\n")
    table = classify_data(read_rows(tmp_path / "a.csv"), BERT, max_length=9)
    assert table.source.targets.tolist() == [1, 0, 1]
    assert (table.empty, table.dropped) == (1, 1)


def test_pairs_that_are_read_together():
    data = classify_data(ALIKE, BERT, text="s1", second="s2", label="score", max_length=12)
    inputs, _ = data.source.take(np.array([1]))
    assert inputs["types"].tolist() == [[0, 0, 0, 1, 1, *[0] * 7]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"txt": "a", "label": 1}], "row 0: no field 'text'; its fields are 'txt', 'label'"),
        ([{"text": 3, "label": 1}], "row 0: 'text' needs a text, got 3"),
        ([{"text": "a", "label": None}], "no row has all of 'text', 'label'"),
        ([], "rows are empty"),
    ],
)
def test_fields_that_are_not_there_are_named(rows, message):
    with pytest.raises(TaskError, match=message):
        classify_data(rows, BERT, max_length=9)


def test_scores_of_pairs():
    data = score_data(ALIKE, BERT, max_length=10)
    inputs, targets = data.source.take(np.array([1, 0]))
    assert targets.tolist() == [0.5, 1.0]
    assert targets.dtype == np.float32
    assert inputs["first"]["ids"].shape == inputs["second"]["ids"].shape == (2, 10)
    assert inputs["second"]["mask"].sum(axis=1).tolist() == [3, 8]
    assert data.source.buckets.tolist() == [10, 10]
    assert data.texts == 4
    joint = score_data(ALIKE, BERT, pair=False, low=-5, max_length=20)
    assert joint.source.take(np.array([0]))[0]["ids"].shape == (1, 16)
    assert joint.source.targets.tolist() == [1.0, 0.75]


@pytest.mark.parametrize("score", [5.1, -1, "high", True, float("nan"), [3]])
def test_a_score_out_of_range_is_named(score):
    rows = [*ALIKE, {"s1": "a", "s2": "b", "score": score}]
    with pytest.raises(TaskError, match=r"row 2: 'score' needs a number in \[0, 5\]"):
        score_data(rows, BERT, max_length=9)


def test_tags_stand_at_the_first_token_of_their_words():
    data = tag_data(TAGGED, BERT, max_length=9)
    assert data.labels == ("O", "B-LOC", "I-LOC")
    inputs, targets = data.source.take(np.array([0, 1]))
    assert inputs["ids"].shape == inputs["words"].shape == targets.shape == (2, 9)
    assert inputs["words"].tolist() == [[1, 3, 4, *[-1] * 6], [1, 2, *[-1] * 7]]
    assert targets.tolist() == [[0, 0, 1, *[-1] * 6], [0, 1, *[-1] * 7]]
    assert inputs["ids"][0, 4] == VOCABULARY["new"]
    assert inputs["ids"][1, 1] == UNK


def test_words_and_tags_that_are_cut_off_are_counted():
    data = tag_data(TAGGED, BERT, max_length=9)
    assert data.notes[:2] == (
        "3 of 15 words (20 %) were cut off with their tags; no score counts them.",
        "1 of 15 words (6.7 %) have no token; they became the unknown token.",
    )
    assert data.source.targets[2].tolist() == [0] * 7
    assert tag_data(TAGGED[:1], BERT, max_length=9).notes == ()


@pytest.mark.parametrize(
    ("row", "labels", "message"),
    [
        ({"tokens": ["a", "b"], "tags": ["O"]}, None, "row 1: 2 words, but 1 tags"),
        ({"tokens": ["a"], "tags": ["B-X"]}, ["O", "B-LOC"], "row 1: label 'B-X' is unknown"),
        ({"tokens": "a", "tags": ["O"]}, None, "row 1: 'tokens' needs a list"),
        ({"tokens": [3], "tags": ["O"]}, None, "row 1: words need texts, got 3"),
    ],
)
def test_tags_that_do_not_fit_are_named(row, labels, message):
    with pytest.raises(TaskError, match=message):
        tag_data([TAGGED[0], row], BERT, labels=labels, max_length=9)


def test_texts_to_write(tmp_path):
    original = write_spiece(tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    data = summary_data(SUMMARIES, tokenizer, prefix="see: ", max_length=64, summary_length=32)
    inputs, targets = data.source.take(np.array([1, 0]))
    assert inputs.keys() == {"ids", "mask", "decoder_ids"}
    own = targets[0][targets[0] != 0].tolist()
    assert own == [*original.encode("My brother."), 1]
    assert inputs["decoder_ids"].shape == targets.shape
    assert inputs["decoder_ids"][:, 0].tolist() == [0, 0]
    assert (inputs["decoder_ids"][:, 1:] == targets[:, :-1]).all()
    read = inputs["ids"][1][inputs["mask"][1]].tolist()
    assert read == [*original.encode("see: " + SUMMARIES[0]["text"]), 1]
    assert data.references == (("A cat.",), ("My brother.", "He likes it."))
    assert [note[:14] for note in data.notes] == ["2 of 53 tokens"]  # ":" is unknown
    assert data.source.take(np.array([0]))[1].shape[1] == targets.shape[1]


def test_texts_to_write_that_are_cut_are_counted(tmp_path):
    write_spiece(tmp_path)
    tokenizer = read_tokenizer(tmp_path)
    rows = [*SUMMARIES, {"text": "a", "summary": ""}]
    data = summary_data(rows, tokenizer, max_length=64, summary_length=4)
    assert data.notes[0].startswith("2 of 3 texts to write (67 %) were cut to 4 tokens")
    assert data.notes[1] == "1 of 3 texts to write (33 %) are empty."
    assert data.source.written[0].tolist()[-1] == 1
    with pytest.raises(TaskError, match="row 0: 'summary' needs a text, or a list of them"):
        summary_data([{"text": "a", "summary": []}], tokenizer, max_length=9, summary_length=9)
    with pytest.raises(TaskError, match="no end token"):
        summary_data(SUMMARIES, BERT, max_length=9, summary_length=9)
