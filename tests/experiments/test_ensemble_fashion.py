"""Every way of the table is trained and scored, and the gain is that over the mean member."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import jrecipe as jr

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import ensemble_fashion as experiment

SMOKE = experiment.SCALES["smoke"]


@pytest.mark.exhaustive
def test_every_way_is_trained_scored_and_compared():
    rng = np.random.default_rng(0)
    labels = (np.arange(200) % 10).astype(np.int32)
    pictures = rng.normal(size=(200, 6, 6, 1)).astype(np.float32)
    pictures[np.arange(200), labels % 6] += 2.0
    source = jr.data.ArraySource(pictures, labels)
    splits = jr.data.Splits(
        name="lines",
        train=source,
        val=source,
        test=source,
        kind="classes",
        class_names=tuple("0123456789"),
    )
    task = experiment.task_of(splits, SMOKE)
    repeats = [experiment.one_repeat(task, SMOKE, seed) for seed in (0, 100)]
    assert set(repeats[0]) == set(experiment.ways_of(SMOKE))
    found, gains = experiment.table(repeats, SMOKE, labels)
    assert [row[0] for row in found.rows] == list(experiment.ways_of(SMOKE))
    for name, gain in gains.items():
        over = [
            np.mean([one.metric for one in each[name]])
            - np.mean([one.metric for one in each["mean member"]])
            for each in repeats
        ]
        assert gain == pytest.approx(100 * np.mean(over), abs=1e-6)
    calm, plain = (
        repeats[0][name][0] for name in ("ensemble of 2", "ensemble of 2, not calibrated")
    )
    np.testing.assert_array_equal(calm.metric_values, plain.metric_values)


def test_too_few_pictures_are_refused():
    source = jr.data.ArraySource(np.zeros((20, 6, 6, 1), np.float32), np.arange(20) % 10)
    splits = jr.data.Splits(
        name="few",
        train=source,
        val=source,
        test=source,
        kind="classes",
        class_names=tuple("0123456789"),
    )
    with pytest.raises(jr.TaskError, match="64 are needed"):
        experiment.task_of(splits, SMOKE)
