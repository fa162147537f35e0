"""A task is understood when it is made, or the error says what is wrong and the way out."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import CLASSES, Remote, pictures, plain, small

import jrecipe as jr
from jrecipe.task import head_shape, read, validate_values

X, Y = pictures(60, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": 3}, r"Task.loss needs a function .* got 3; try jr.losses.softmax_cross_entropy"),
        (
            {"loss": jr.losses.softmax_cross_entropy},
            r"Task.loss is jr.losses.softmax_cross_entropy, which makes a loss; call it, as .*\(\)",
        ),
        ({"train": None}, r"Task.train is None; give a pair \(inputs, targets\)"),
        ({"val": None}, r"Task.val is None; give"),
        ({"val": X}, r"Task.val needs a pair .* got "),
        ({"test": (X, Y[:3])}, r"Task.test inputs has 60 .* Task.test targets has 3; give one"),
        ({"train": (X[:0], Y[:0])}, r"Task.train is empty: inputs has 0 examples; give at least"),
        ({"model": None}, r"Task.model is None and so is Task.trainer; give a Linen module"),
        ({"model": "net"}, r"model needs a network, got str 'net'; give a Linen module"),
        (
            {"trainer": "x"},
            r"Task.trainer needs jr.Trainer\(init, step, predict, params\), got 'x'",
        ),
        ({"optimizer": optax.adam}, r"Task.optimizer needs an optax .* got <function adam .*try"),
        ({"augment": 0.5}, r"Task.augment needs a function \(key, batch\) -> batch, got 0.5"),
        ({"batch_size": 0}, r"Task.batch_size needs an integer >= 1, got 0"),
        ({"batch_size": 2.0}, r"Task.batch_size needs an integer >= 1, got 2.0"),
        ({"batch_size": True}, r"Task.batch_size needs an integer >= 1, got True"),
        ({"batch_size": 61}, r"batch_size is 61, but .* only 60 examples; use batch_size=32 or"),
        ({"label_noise": 1.0}, r"Task.label_noise needs a share in \[0, 1\), got 1.0; 0.1 is"),
        ({"label_noise": "10%"}, r"Task.label_noise needs a share in \[0, 1\), got '10%'"),
        ({"causal_axis": 0}, r"Task.causal_axis needs an axis .* got 0; axis 0 is the batch"),
        ({"causal_axis": "t"}, r"Task.causal_axis needs an axis of the inputs, got 't'"),
        ({"metric": "f1"}, r"Task.metric needs a function or None, got 'f1'"),
        ({"decode": 1}, r"Task.decode needs a function or None, got 1"),
        ({"frozen": "first/*"}, r"Task.frozen needs a tuple .* got the text 'first/\*'; write"),
        ({"class_names": "abc"}, r"Task.class_names needs a tuple of texts, got the text 'abc'"),
    ],
)
def test_arguments_that_cannot_be_understood(changes, message):
    with pytest.raises(jr.TaskError, match=message) as error:
        small(**changes)
    assert "\n" not in str(error.value)


def test_what_is_left_out_has_a_default():
    task = jr.Task(model=plain(), loss=jr.losses.l2(), train=(X, Y * 1.0), val=(X, Y), batch_size=8)
    assert task.metric is jr.metrics.negative_squared_error
    assert hasattr(task.optimizer, "update")
    assert list(task.splits) == ["train", "val"]
    assert list(task.replace(test=(X, Y)).splits) == ["train", "val", "test"]
    assert task.replace(frozen=["a"], class_names=["x"]).frozen == ("a",)
    assert small(loss=lambda o, t: o[:, 0]).metric is None


def spoiled(row: int, value: float) -> tuple[np.ndarray, np.ndarray]:
    inputs = X.copy()
    inputs[row, 2] = value
    return inputs, Y


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train": spoiled(7, np.nan)},
            r"train inputs have NaN or infinity in 1 of 60 rows, first in row 7; drop",
        ),
        ({"val": spoiled(0, -np.inf)}, r"val inputs have NaN or infinity in 1 of 60"),
        ({"test": spoiled(3, np.nan)}, r"test inputs have NaN"),
        (
            {"train": ({"a": X, "b": spoiled(9, np.nan)[0]}, Y)},
            r"train inputs\['b'\] have NaN or infinity .* row 9",
        ),
        ({"train": (jnp.full((60, 2), jnp.nan, jnp.bfloat16), Y)}, "train inputs have NaN"),
        ({"train": (X, Y * 1.0)}, r"train targets need integer class indices, got float32\[60\]"),
        (
            {"train": (X, Y - 1)},
            r"train targets need class indices >= 0, got -1 in row \d+ .*; num",
        ),
        ({"train": (X, Y * 0)}, r"train targets have one class only, 0 in all 60 rows; .* give"),
        ({"val": (X, Y + 1)}, r"val targets .* number of outputs, 4, got 4 in row \d+ .*; number"),
        ({"train": (X, Y[:, None])}, r"train targets need shape int\[b\], got int32\[60, 1\]"),
    ],
)  # fmt: skip
def test_values_that_no_training_can_use(changes, message):
    task = small(**changes)
    if isinstance(task.train.take(np.arange(1))[0], dict):
        model = plain()
        apply = lambda p, s, x, **k: model.apply(p, s, x["a"], **k)  # noqa: E731
        task = task.replace(model=jr.Model(lambda key, x: model.init(key, x["a"]), apply))
    with pytest.raises(jr.TaskError, match=message) as error:
        validate_values(task)
    assert "\n" not in str(error.value)
    with pytest.raises(jr.TaskError, match=message):
        jr.fit(task, 1, progress=False)


def test_good_values_pass_and_one_class_may_be_missing_in_validation():
    validate_values(small(val=(X[:1], Y[:1]), test=(X, Y)))
    validate_values(small(train=(X.astype(np.uint8), Y)))


def test_the_row_named_is_that_of_the_split_even_if_only_some_are_read():
    inputs = X.copy()
    inputs[-1] = np.nan
    with pytest.raises(jr.TaskError, match="in 1 of 5 rows, first in row 59"):
        validate_values(small(train=Remote(inputs, Y)), limit=5)


def test_reading_some_rows_spreads_them_over_the_source():
    source = jr.data.as_source((np.arange(100), np.arange(100)))
    assert read(source, 5)[0].tolist() == [0, 24, 49, 74, 99]
    assert len(read(source)[0]) == len(read(source, 1000)[0]) == 100


def test_the_shape_of_the_outputs_is_known_without_running_the_network():
    assert head_shape(plain(), X[:2]).shape == (2, CLASSES)


def test_a_split_that_is_not_in_memory_is_not_read_into_it_to_be_looked_at():
    class Large:
        """Examples of 1 MiB each."""

        asked = 0

        def __len__(self):
            return 5_000

        def take(self, rows):
            self.asked = max(self.asked, len(rows))
            x = np.zeros((len(rows), 2**18), np.float32)
            x[np.asarray(rows) == 4_999, 0] = np.nan
            return x, np.asarray(rows, np.int32) % 2

    source = Large()
    task = small(train=source, val=(np.zeros((4, 2**18), np.float32), np.arange(4, dtype=np.int32)))
    with pytest.raises(jr.TaskError, match="first in row 4999"):
        validate_values(task)
    assert 10 < source.asked < 64
