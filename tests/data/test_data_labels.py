import numpy as np
import pytest

from jrecipe.data.labels import read_targets
from jrecipe.types import TaskError


def read(values, **how):
    return read_targets({"train": values}, "file.csv", **how)


def test_contiguous_labels_stay():
    got = read(np.array([2, 0, 1, 1], np.uint8))
    assert got.kind == "classes"
    assert got.values["train"].tolist() == [2, 0, 1, 1]
    assert got.values["train"].dtype == np.int32
    assert got.names == ("0", "1", "2")
    assert not got.notes


def test_other_labels_are_renumbered_over_all_splits():
    got = read_targets({"train": [10, 20, 10], "test": [30, 10]}, "file")
    assert got.values["train"].tolist() == [0, 1, 0]
    assert got.values["test"].tolist() == [2, 0]
    assert got.names == ("10", "20", "30")
    assert "renumbered" in got.notes[0]


def test_text_labels_stand_in_natural_order():
    got = read(["10", "9", "b", "a", "9"])
    assert got.names == ("9", "10", "a", "b")
    assert [got.names[i] for i in got.values["train"]] == ["10", "9", "b", "a", "9"]


def test_names_that_are_known_are_kept():
    got = read([0, 1, 1], names=["no", "yes", "maybe"])
    assert got.names == ("no", "yes", "maybe")
    assert got.values["train"].tolist() == [0, 1, 1]


def test_bool_is_two_classes():
    assert read(np.array([True, False])).values["train"].tolist() == [1, 0]


def test_floats_and_many_whole_numbers_are_numbers():
    got = read(np.linspace(0, 1, 50))
    assert (got.kind, got.values["train"].dtype, got.names) == ("number", np.float32, ())
    many = read(np.arange(100))
    assert many.kind == "number"
    assert "kind='classes'" in many.notes[0]
    assert read(np.arange(100), kind="classes").kind == "classes"


def test_one_hot_and_several_labels_are_told_apart():
    hot = read(np.eye(3)[[2, 0, 1]])
    assert (hot.kind, hot.values["train"].tolist()) == ("classes", [2, 0, 1])
    several = read(np.array([[1, 1, 0], [0, 0, 0]]))
    assert (several.kind, several.values["train"].dtype) == ("multilabel", np.float32)
    assert several.names == ("0", "1", "2")
    assert read(np.eye(3), kind="multilabel").kind == "multilabel"
    assert read(np.ones((4, 1)) * [[0.5], [1], [2], [3]]).values["train"].shape == (4,)


@pytest.mark.parametrize(
    ("values", "how", "words"),
    [
        ([3, 3, 3], {}, "all targets are 3"),
        ([0.5, 1.0], {"kind": "classes"}, "whole numbers, got 0.5 in row 0"),
        ([0.0, np.nan], {}, "NaN or infinite, first in row 1"),
        ([0, 5], {"names": ["a", "b"]}, "span 0 to 5"),
        (["a", "b"], {"kind": "number"}, "are text"),
        ([f"text {i}" for i in range(50)], {}, "target"),
        ([0, 1], {"kind": "sequence"}, "kind needs"),
        ([0.5, 1.0], {"kind": "multilabel"}, "0 and 1"),
        (np.zeros((2, 3, 4)), {}, "shape"),
        (np.array([None, 1]), {}, "dtype object"),
    ],
)
def test_targets_that_make_no_sense_are_refused(values, how, words):
    with pytest.raises(TaskError, match=words) as caught:
        read(values, **how)
    assert "\n" not in str(caught.value)
