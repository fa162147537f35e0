"""The ladder's rungs change what they say, one thing at a time."""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import jrecipe as jr
from jrecipe.rungs.rung import climbed

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import cifar10_ladder as experiment

SCALE = experiment.Scale(width=2, train=20, val=10, epochs=1, batch=10)
CHANGED = ["augment", "model", "model", "optimizer", "augment", "optimizer", "augment, model"]


@pytest.fixture(scope="module")
def task() -> jr.Task:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (30, 32, 32, 3), np.uint8)
    return experiment.baseline((x, rng.integers(0, 10, 30).astype(np.int32)), SCALE)


def test_splits_share_no_picture_and_are_normalised(task):
    assert (len(task.train), len(task.val)) == (20, 10)
    train, val = (split.take(np.arange(10))[0] for split in (task.train, task.val))
    assert not (train[:, None] == val[None]).all(axis=(2, 3, 4)).any()
    middle = experiment.normalised(np.full((1, 1, 1, 3), 255 * np.array(experiment.MEAN)))
    np.testing.assert_allclose(middle, 0, atol=1e-5)


def test_too_few_pictures_are_told(task):
    with pytest.raises(jr.TaskError, match=r"20 \+ 10 pictures, the data has 29"):
        experiment.baseline((np.zeros((29, 32, 32, 3), np.uint8), np.zeros(29, np.int32)), SCALE)


def test_every_rung_changes_one_thing_and_its_network_can_be_made(task):
    changed = []
    for rung in experiment.rungs(SCALE):
        task, fields = climbed(task, rung)
        changed.append(", ".join(sorted(fields)))
        inputs = task.train.take(np.arange(2))[0]

        def outputs(key, task=task, inputs=inputs):
            params, state = task.model.init(key, inputs)
            return task.model.apply(params, state, inputs, key=key, train=True)[0]

        assert jax.eval_shape(outputs, jax.random.key(0)).shape == (2, 10)
    assert changed == [*CHANGED, "model", "model"]
