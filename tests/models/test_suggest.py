"""`suggest` has one answer for each kind of data, which fits it, and says by what numbers."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

import jrecipe as jr
from jrecipe import models
from jrecipe.data import ArraySource, ImageEncoder, TabularEncoder, TextEncoder
from jrecipe.data.splits import Splits
from jrecipe.models import suggest
from jrecipe.models.adapt import as_model
from jrecipe.recipe.plan import build_task, suggest_plan
from jrecipe.types import TaskError

RNG = np.random.default_rng(0)
N = 30
LABELS = (np.arange(N) % 3).astype(np.int32)


def floats(*shape):
    return RNG.normal(size=(N, *shape)).astype(np.float32)


def ids(*shape):
    tokens = RNG.integers(0, 40, (N, *shape)).astype(np.int32)
    tokens.flat[0] = 39
    return tokens


# name -> inputs, targets, network, what it is told, words of the reason
CASES = {
    "vectors": (floats(4), LABELS, models.MLP, {}, ["30 vectors of 4", "3 classes", "Linear"]),
    "pixels": ((floats(9) > 0).astype(np.uint8), LABELS, models.MLP, {}, ["vectors of 9"]),
    "one number": (
        floats(4),
        floats(),
        models.MLP,
        {"squeeze": True, "outputs": 1},
        ["one number"],
    ),
    "numbers": (floats(4), floats(2), models.MLP, {"squeeze": False, "outputs": 2}, ["2 numbers"]),
    "labels": (floats(4), np.eye(3, dtype=int)[LABELS], models.MLP, {"outputs": 3}, ["3 labels"]),
    "tiny pictures": (
        floats(15, 40, 1),
        LABELS,
        models.ConvNet,
        {"depth": 1, "width": 32, "head": "flatten"},
        ["15x40x1", "2 stages of 1 "],
    ),
    "pictures": (floats(16, 40, 3), LABELS, models.ConvNet, {"depth": 2}, ["3 stages of 2 "]),
    "larger": (floats(63, 64, 1), LABELS, models.ConvNet, {"head": "flatten"}, ["63x64x1"]),
    "large pictures": (
        np.zeros((N, 64, 70, 3), np.float32),
        LABELS,
        models.ResNet,
        {"depth": 18, "outputs": 3},
        ["64x70x3", "ResNet-18", "load_pretrained"],
    ),
    "grey": (floats(12, 12), LABELS, models.MLP, {}, ["grey", "x[..., None]"]),
    "grey bytes": (np.zeros((N, 5, 6), np.uint8), LABELS, models.MLP, {}, ["grey"]),
    "series": (floats(12, 5), floats(), models.GRU, {"vocabulary": None}, ["12x5", "Order"]),
    "small square": (floats(7, 7), LABELS, models.GRU, {}, ["series of 7x7"]),
    "tokens": (ids(6), LABELS, models.GRU, {"vocabulary": 40}, ["6 tokens out of 40"]),
    "lengths": ((ids(6), LABELS + 1), LABELS, models.GRU, {"vocabulary": 40}, ["6 tokens"]),
    "series with lengths": ((floats(12, 5), LABELS + 1), LABELS, models.GRU, {}, ["12x5"]),
    "language": (ids(6), ids(6), models.GPT, {"outputs": 40, "length": 6}, ["decoder-only"]),
    "volumes": (floats(2, 3, 4, 5), LABELS, models.MLP, {}, ["2x3x4x5", "flattened"]),
}


@pytest.mark.thin(10)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("form", ["pair", "source"])
def test_each_kind_of_data_has_a_network_that_takes_it(case, form):
    inputs, targets, network, options, words = CASES[case]
    found = suggest((inputs, targets) if form == "pair" else ArraySource(inputs, targets))
    assert type(found.model) is network
    assert found.name == network.__name__
    for name, value in options.items():
        assert getattr(found.model, name) == value, name
    for word in words:
        assert word in found.why
    assert str(found) == f"{found.name}: {found.why}"
    assert "30 " in found.why
    model = as_model(found.model)
    shapes = jax.eval_shape(model.init, jax.random.key(0), inputs)
    outputs = jax.eval_shape(model.apply, *shapes, inputs)[0]
    if network is models.GPT:
        assert outputs.shape == (*targets.shape, 40)
    elif targets is LABELS:
        assert outputs.shape == (N, 3)
    else:
        assert outputs.shape == targets.shape


def test_a_task_is_answered_by_its_loss():
    x, y = floats(4), (LABELS > 0).astype(np.int32)
    task = jr.Task(
        model=models.Linear(1, squeeze=True),
        loss=jr.losses.sigmoid_cross_entropy(),
        train=(x, y),
        val=(x, y),
        batch_size=8,
    )
    found = suggest(task)
    assert (found.model.outputs, found.model.squeeze) == (1, True)
    assert "yes or no" in found.why
    padded = np.where(ids(6) > 30, -100, ids(6)).astype(np.int32)
    task = task.replace(
        model=models.GPT(50), loss=jr.losses.token_cross_entropy(pad=-100), train=(ids(6), padded)
    )
    assert suggest(task).model.outputs == 40
    names = task.replace(
        model=models.Linear(5),
        loss=jr.losses.softmax_cross_entropy(),
        train=(x, y),
        class_names=tuple("abcde"),
    )
    assert suggest(names).model.outputs == 5


def splits_of(inputs, encoder=None, kind="classes", targets=LABELS):
    source = ArraySource(inputs, targets)
    return Splits("made", source, source, source, kind, tuple("abcd"), encoder)


def test_splits_tell_texts_and_tables_by_their_encoder_and_classes_by_their_names():
    texts = [f"word{i % 7} common text" for i in range(N)]
    encoder = TextEncoder.fit(texts)
    found = suggest(splits_of(encoder.encode(texts), encoder))
    assert found.why.startswith("30 texts as weights of 9 words for 4 classes.")
    table = {"a": [1.0, 2.0] * 15, "b": ["x", "y", "z"] * 10}
    encoder = TabularEncoder.fit(table)
    found = suggest(splits_of(encoder.encode(table), encoder))
    assert "rows of a table" in found.why
    assert found.model.outputs == 4
    raw = RNG.integers(0, 256, (N, 28, 28), np.uint8)
    encoder = ImageEncoder.fit(raw)
    assert suggest(splits_of(encoder.encode(raw), encoder)).name == "ConvNet"


def test_bundled_digits():
    found = suggest(jr.data.load("digits"))
    assert str(found).startswith("ConvNet: 1,078 pictures of 8x8x1 for 10 classes.")


class Streamed:
    """A source that holds nothing in memory and remembers how much was read."""

    read = 0

    def __len__(self):
        return 10_000

    def take(self, rows):
        self.read += len(rows)
        return np.zeros((len(rows), 200, 200, 3), np.float32), np.asarray(rows) % 9


def test_a_source_that_is_not_in_memory_is_read_in_part():
    source = Streamed()
    assert suggest(source).model.outputs == 9
    assert source.read < 200


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, ["int", "jr.data.load"]),
        (np.zeros((4, 3)), ["ndarray", "jr.data.load"]),
        (({"a": floats(2)}, LABELS), ["dict", "of your own"]),
        (((floats(4), LABELS), LABELS), ["lengths", "of your own"]),
    ],
)
def test_what_has_no_network_is_named(data, words):
    with pytest.raises(TaskError) as error:
        suggest(data)
    for word in words:
        assert word in str(error.value)


def test_an_answer_at_each_place_needs_tokens():
    x = floats(6)
    task = jr.Task(
        model=models.Linear(3),
        loss=jr.losses.token_cross_entropy(),
        train=(x, ids(6)),
        val=(x, ids(6)),
        batch_size=8,
    )
    with pytest.raises(TaskError, match=r"float32\['b', 6\].*int32\['b', 6\]"):
        suggest(task)


@pytest.mark.thin(2)
@pytest.mark.parametrize(
    "case", ["vectors", "tiny pictures", "pictures", "large pictures", "series", "tokens"]
)
def test_what_is_suggested_is_what_a_plan_builds(case):
    inputs, targets, *_ = CASES[case]
    kind = "classes" if targets is LABELS else "number"
    splits = splits_of(inputs, kind=kind, targets=targets)
    task, found = build_task(splits, suggest_plan(splits)), as_model(suggest(splits).model)

    def sizes(model):
        shapes = jax.eval_shape(model.init, jax.random.key(0), inputs[:1])
        return jax.tree.map(lambda leaf: leaf.shape, shapes)

    assert sizes(task.model) == sizes(found)


def test_every_row_of_the_docstring_is_a_case():
    rows = re.findall(r"^    \| .+ \| `(\w+)`", suggest.__doc__, re.MULTILINE)
    assert sorted(set(rows)) == sorted({network.__name__ for _, _, network, *_ in CASES.values()})
    assert len(rows) == 10
