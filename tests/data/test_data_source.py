import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jrecipe.data.source import ArraySource, as_source, in_memory, nbytes
from jrecipe.types import Source, TaskError


class Squares:
    """A source that holds no arrays."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def take(self, rows):
        rows = np.asarray(rows)
        return (rows**2).astype(np.float32)[:, None], rows.astype(np.int32)


@pytest.mark.parametrize("pair", [tuple, list])
def test_a_pair_of_lists_becomes_arrays(pair):
    source = as_source(pair(([[1.5, 2.0], [3.0, 4.0], [5.0, 6.0]], [1, 0, 1])))
    assert isinstance(source, Source)
    assert len(source) == 3
    inputs, targets = source.take(np.array([2, 2, 0]))
    assert inputs.tolist() == [[5.0, 6.0], [5.0, 6.0], [1.5, 2.0]]
    assert (inputs.dtype, targets.dtype) == (np.float32, np.int32)


def test_pytrees_keep_their_structure():
    value = ({"ids": np.arange(6).reshape(3, 2), "mask": np.ones((3, 2), bool)}, (np.arange(3.0),))
    source = as_source(value)
    inputs, targets = source.take(np.array([1]))
    assert jax.tree.structure((inputs, targets)) == jax.tree.structure(value)
    assert inputs["ids"].tolist() == [[2, 3]]
    assert inputs["mask"].dtype == bool
    assert targets[0].dtype == np.float32


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float64, np.float32),
        (np.float32, np.float32),
        (np.float16, np.float16),
        (jnp.bfloat16, jnp.bfloat16),
        (np.int64, np.int32),
        (np.uint64, np.int32),
        (np.uint8, np.uint8),
        (np.int8, np.int8),
        (bool, bool),
    ],
)
def test_dtypes_are_those_that_jax_keeps(given, kept):
    source = as_source((np.zeros((2, 3), given), [0, 1]))
    assert source.inputs.dtype == kept
    assert jnp.asarray(source.inputs).dtype == kept


def test_what_is_taken_is_a_copy():
    source = as_source((np.zeros((3, 2), np.float32), [0, 1, 2]))
    source.take(np.array([0, 1]))[0][:] = 7.0
    assert source.inputs.sum() == 0.0


def test_sources_pass_through_and_know_their_size():
    source = Squares(10)
    assert as_source(source) is source
    assert not in_memory(source)
    assert nbytes(source) == 10 * 8
    arrays = as_source((np.zeros((5, 2), np.float32), np.zeros(5, np.int32)))
    assert in_memory(arrays)
    assert nbytes(arrays) == arrays.nbytes == 5 * 2 * 4 + 5 * 4


class NoPair(Squares):
    def take(self, rows):
        return np.zeros(len(rows))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ["Task.val is None", "pair"]),
        (np.zeros((2, 3)), ["Task.val", "pair", "ndarray of shape (2, 3)"]),
        (3, ["pair", "int 3"]),
        ((np.zeros(3),), ["pair", "tuple of 1"]),
        ((np.zeros((3, 2)), [0, 1]), ["Task.val inputs has 3", "Task.val targets has 2"]),
        (
            ({"a": np.zeros(3), "b": np.zeros(4)}, np.zeros(3)),
            ["inputs['a'] has 3", "inputs['b'] has 4"],
        ),
        ((np.zeros((0, 2)), np.zeros(0)), ["empty"]),
        ((np.float32(3.0), np.zeros(1)), ["single number"]),
        ((["a", "b"], [0, 1]), ["inputs are text", "TextEncoder"]),
        ((np.array([{}, {}]), [0, 1]), ["dtype object"]),
        (([[1, 2], [3]], [0, 1]), ["cannot be made an array", "pad"]),
        ((np.array([2**40, 1]), [0, 1]), ["too large for int32", str(2**40)]),
        ((np.array([1e300, 1.0]), [0, 1]), ["too large for float32"]),
        ((None, [0, 1]), ["inputs are None"]),
        (({}, [0, 1]), ["hold no array"]),
        (Squares(0), ["empty"]),
        (NoPair(3), ["pair (inputs, targets)"]),
        (ArraySource(np.zeros((3, 2)), np.zeros(2)), ["has 3", "has 2"]),
    ],
)
def test_bad_values_are_named_in_one_line(value, words):
    with pytest.raises(TaskError) as caught:
        as_source(value, name="Task.val")
    message = str(caught.value)
    assert "\n" not in message
    assert "Task.val" in message
    for word in words:
        assert word in message


def test_nan_and_infinity_pass_for_the_checks_to_find():
    source = as_source((np.array([[np.nan], [np.inf]]), [0, 1]))
    assert np.isnan(source.inputs[0, 0])
    assert np.isinf(source.inputs[1, 0])
