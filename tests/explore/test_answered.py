"""A9: every example with what a trained network answers."""

from __future__ import annotations

import numpy as np
import optax
import pytest
from sets import blobs

import jrecipe as jr
from jrecipe.explore import predicted
from jrecipe.types import TaskError


@pytest.fixture(scope="module")
def fitted():
    """A linear classifier of three blobs; five validation labels are wrong."""
    inputs, labels = blobs(400)
    wrong = labels.copy()
    wrong[300:305] = (wrong[300:305] + 1) % 3
    task = jr.Task(
        model=jr.models.Linear(3),
        loss=jr.losses.softmax_cross_entropy(),
        train=(inputs[:300], labels[:300]),
        val=(inputs[300:], wrong[300:]),
        test=(inputs[300:], labels[300:]),
        optimizer=optax.adam(0.05),
        batch_size=50,
        class_names=("ant", "bee", "cat"),
    )
    return jr.fit(task, 200)


@pytest.mark.slow
def test_wrong_labels_are_inconsistent_and_cost_most(fitted):
    rows = predicted(fitted, ["val"])
    worst = rows.sort("loss", descending=True).head(5)
    assert set(worst["row"].tolist()) == set(range(5))
    assert not worst["right"].any()
    found = rows.where(inconsistent=True)["row"].tolist()
    assert len(set(found) & set(range(5))) >= 4
    np.testing.assert_array_equal(rows["right"], rows["answer"] == rows["label"])
    result = fitted.evaluate("val", keep_outputs=True)
    np.testing.assert_allclose(rows["loss"], result.values)
    assert float(rows["right"].mean()) == pytest.approx(0.95, abs=0.02)


def test_healthy_labels_are_consistent(fitted):
    assert predicted(fitted, ["train", "test"]).where(inconsistent=True).places.size <= 2


def test_splits_keep_their_rows(fitted):
    rows = predicted(fitted)
    assert set(rows["split"]) == {"train", "val"}
    assert len(rows.where(split="train")) == 300
    some = rows.where(split="val", row=(3, 3))
    np.testing.assert_allclose(some["loss"], fitted.evaluate("val").values[3])


@pytest.mark.slow
def test_numbers_have_an_error():
    inputs, _ = blobs(200, classes=1)
    task = jr.Task(
        model=jr.models.Linear(1, squeeze=True),
        loss=jr.losses.l2(),
        train=(inputs, inputs[:, 0]),
        val=(inputs[:50], inputs[:50, 0]),
        optimizer=optax.adam(0.1),
        batch_size=50,
    )
    rows = predicted(jr.fit(task, 100), ["val"])
    np.testing.assert_allclose(rows["error"], rows["answer"] - rows["target"], rtol=1e-5)


@pytest.mark.slow
def test_outputs_of_other_kinds_have_a_loss_alone():
    rng = np.random.default_rng(0)
    targets = (rng.random((120, 4)) > 0.5).astype(np.float32)
    inputs = rng.normal(size=(120, 6)).astype(np.float32)
    task = jr.Task(
        model=jr.models.Linear(4),
        loss=jr.losses.multilabel_cross_entropy(),
        train=(inputs, targets),
        val=(inputs[:40], targets[:40]),
        optimizer=optax.adam(0.1),
        batch_size=40,
    )
    rows = predicted(jr.fit(task, 20))
    names = {column.name for column in rows.columns}
    assert "loss" in names
    assert "annotations" in names
    assert "answer" not in names


def test_a_split_that_is_not_there(fitted):
    with pytest.raises(
        TaskError, match="split='extra' is not there; the task has train, val, test"
    ):
        predicted(fitted, ["extra"])
