"""The table: sizes are of files, intervals hold the score, and the first row is the original."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from small_tasks import pictures, plain

import jrecipe as jr
from jrecipe.squeeze import Network, compare, network_of, quantise

pytest.importorskip("safetensors")


@pytest.fixture(scope="module")
def trained():
    task = jr.Task(
        model=plain(),
        loss=jr.losses.softmax_cross_entropy(),
        train=pictures(256, 0),
        val=pictures(100, 1),
        test=pictures(150, 2),
        optimizer=optax.adam(1e-2),
        batch_size=64,
    )
    return task, network_of(jr.fit(task, steps=60, progress=False))


@pytest.mark.slow
def test_each_network_is_measured_beside_the_original(trained):
    task, network = trained
    spoilt = network.replace(params=jax.tree.map(np.zeros_like, network.params))
    found = compare(
        {"original": network, "int8": quantise(network), "spoilt": spoilt}, task, calls=5
    )
    original, int8, broken = found.rows.values()
    assert (found.split, found.examples, found.metric) == ("test", 150, "accuracy")
    assert original.gain == 0
    exact = jr.evaluate(lambda n, x: n(x), network, task.test, task.loss, metric=task.metric)
    assert original.score == exact.metric
    for row in found.rows.values():
        assert row.interval[0] <= row.score <= row.interval[1]
        assert row.gain_interval[0] <= row.gain <= row.gain_interval[1]
        assert list(row.latency) == [1, 32]
        assert all(0 < p50 <= p95 for p50, p95 in row.latency.values())
        assert row.throughput > 0
    assert int8.bytes < original.bytes
    assert broken.bytes == original.bytes
    assert broken.zipped < 0.6 * original.zipped  # zeros weigh little in an archive
    assert broken.gain_interval[1] < 0 < int8.gain + 0.1
    text = str(found)
    assert len(text.splitlines()) == 2 + 3
    assert "accuracy, % (95 %)" in text
    assert jr.figures.Table is type(found.table())


def test_bad_use_is_refused(trained):
    task, network = trained
    with pytest.raises(jr.TaskError, match="no network"):
        compare({}, task)
    with pytest.raises(jr.TaskError, match="no split 'dev'"):
        compare({"original": network}, task, split="dev")
    with pytest.raises(jr.TaskError, match="needs a Fit"):
        compare({"original": 3}, task)


def test_numbers_are_scored_by_their_metric():
    inputs = pictures(64, 0)[0]
    targets = inputs[:, 0].copy()
    task = jr.Task(
        model=jr.models.MLP(1, width=4, squeeze=True),
        loss=jr.losses.l2(),
        train=(inputs, targets),
        val=(inputs, targets),
        batch_size=32,
    )
    params, state = task.model.init(jax.random.key(0), inputs)
    found = compare({"original": Network(task.model, params, state)}, task, split="val", calls=3)
    row = found.rows["original"]
    assert found.metric != "accuracy"
    assert row.interval[0] < row.score < row.interval[1]
    assert "%" not in found.table().rows[0][6]
