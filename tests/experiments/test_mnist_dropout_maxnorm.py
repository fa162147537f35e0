"""The arms differ in what they say, and the statistics are those of the runs."""

from __future__ import annotations

import dataclasses
import json
import struct
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from matplotlib.image import imread
from scipy import stats

import jrecipe as jr

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import mnist_dropout_maxnorm as experiment

SMOKE = experiment.SCALES["smoke"]
PLAIN, DROPOUT, LIMITED, BOTH = experiment.ARMS


def write_idx(path, array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(bytes([0, 0, 0x08, array.ndim]) + sizes + array.tobytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Pictures of ten classes in noise: a class is a bright line."""
    made = tmp_path_factory.mktemp("idx")
    rng = np.random.default_rng(0)
    for split, count in (("train", 300), ("t10k", 20)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 128, (count, 28, 28), dtype=np.uint8)
        images[np.arange(count), 2 * labels] = 255
        write_idx(made / f"{split}-images-idx3-ubyte", images)
        write_idx(made / f"{split}-labels-idx1-ubyte", labels)
    return made


@pytest.fixture(scope="module")
def splits(folder) -> jr.data.Splits:
    return jr.data.load(str(folder))


def test_the_target_is_whether_the_class_is_odd(splits):
    task = experiment.task_of(PLAIN, splits, SMOKE)
    for split, count in (("train", SMOKE.train), ("val", SMOKE.val)):
        source = getattr(task, split)
        assert len(source) == count
        inputs, targets = source.take(np.arange(count))
        pictures, classes = getattr(splits, split).take(np.arange(count))
        np.testing.assert_array_equal(inputs, pictures)
        np.testing.assert_array_equal(targets, [c in (1, 3, 5, 7, 9) for c in classes])


def test_too_few_pictures_and_numbers_as_targets_are_told(splits):
    with pytest.raises(jr.TaskError, match=r"needs 999 training pictures, .* has 240"):
        experiment.task_of(PLAIN, splits, dataclasses.replace(SMOKE, train=999))
    with pytest.raises(jr.TaskError, match="no classes that are odd"):
        experiment.task_of(PLAIN, dataclasses.replace(splits, kind="number"), SMOKE)


def test_the_network_is_the_classic_one(splits):
    task = experiment.task_of(BOTH, splits, SMOKE)
    params, _ = task.model.init(jax.random.key(0), task.train.take(np.arange(2))[0])
    kernels = [leaf.shape for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    assert kernels == [(784, 128), (128, 128), (128, 1)]


@pytest.mark.thin(4)
@pytest.mark.parametrize("arm", experiment.ARMS, ids=lambda arm: arm.name)
def test_dropout_takes_a_fifth_of_the_inputs_and_half_of_the_hidden_units(arm):
    net, x = experiment.Net(arm.dropout), np.ones((64, 28, 28, 1), np.float32)
    params = net.init(jax.random.key(0), x)
    _, seen = net.apply(
        params,
        x,
        train=True,
        rngs={"dropout": jax.random.key(1)},
        capture_intermediates=lambda module, _: isinstance(module, jr.models.Dropout),
        mutable="intermediates",
    )
    seen = seen["intermediates"]
    lost = [float((seen[f"Dropout_{i}"]["__call__"][0] == 0).mean()) for i in range(3)]
    np.testing.assert_allclose(lost, [0.2, 0.5, 0.5] if arm.dropout else [0, 0, 0], atol=0.03)
    np.testing.assert_array_equal(net.apply(params, x), experiment.Net(False).apply(params, x))


def test_hidden_units_are_tanh(splits):
    net, x = experiment.Net(), splits.train.take(np.arange(3))[0]
    params = net.init(jax.random.key(0), x)
    layers = [jax.tree.map(np.asarray, params["params"][f"Dense_{i}"]) for i in range(3)]
    out = np.asarray(x).reshape(3, -1)
    for i, layer in enumerate(layers):
        out = out @ layer["kernel"] + layer["bias"]
        out = np.tanh(out) if i < 2 else out
    np.testing.assert_allclose(net.apply(params, x), out, rtol=1e-4, atol=1e-5)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_limit_holds_and_only_where_it_is_asked_for(splits):
    free, held, loose = (
        experiment.train_arm(arm, experiment.task_of(arm, splits, SMOKE, limit), SMOKE, [0, 1])
        for arm, limit in ((PLAIN, 0.8), (LIMITED, 0.8), (LIMITED, 100.0))
    )
    assert held.norms.max() <= 0.8
    assert free.norms.min() > 0.8
    np.testing.assert_array_equal(loose.norms, free.norms)  # a limit out of reach changes no bit
    np.testing.assert_array_equal(loose.scores.val_loss, free.scores.val_loss)
    assert held.scores.val.shape == (2, SMOKE.val)
    assert set(np.unique(held.scores.val)) <= {0.0, 1.0}
    assert not (held.scores.train_loss == held.scores.val_loss).any()


def test_the_largest_norm_is_that_of_a_unit_not_of_an_input():
    kernel = np.array([[3.0, 0.1], [4.0, 0.1]])
    assert experiment.largest_norm({"a": {"kernel": kernel, "bias": np.full(2, 9.0)}}) == 5.0


def made_up(train, val) -> jr.rungs.Scores:
    train, val = np.array(train), np.array(val, np.float64)
    return jr.rungs.Scores(
        seeds=tuple(range(len(train))),
        steps=1,
        val=val,
        weights=np.ones(val.shape[1]),
        train=train,
        val_loss=np.ones(len(train)),
        train_loss=np.ones(len(train)),
        seconds=1.0,
    )


def test_means_gaps_and_intervals_are_those_of_the_runs():
    first = made_up([1.0, 0.9, 0.8], [[1, 0, 1, 1], [1, 1, 1, 0], [1, 0, 0, 1]])
    other = made_up([0.9, 0.9, 0.9], [[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]])
    outcomes = [
        experiment.Outcome(PLAIN, first, np.array([3.0, 4.0, 2.0])),
        experiment.Outcome(DROPOUT, other, np.array([1.0, 1.0, 1.0])),
    ]
    plain, dropout = experiment.summary(outcomes)
    train = plain["train"]
    interval = stats.t.interval(0.95, 2, 0.9, 0.1 / np.sqrt(3))
    np.testing.assert_allclose(train, [0.9, *interval])
    assert plain["val"][0] == pytest.approx(8 / 12)
    assert plain["gap"][0] == pytest.approx(0.9 - 8 / 12)
    assert dropout["val_over_plain"][0] == pytest.approx(2 / 12)
    assert dropout["gap_over_plain"][0] == pytest.approx(-2 / 12)
    expected = jr.rungs.compare(first, other)
    assert dropout["val_over_plain"][1:] == (expected.low, expected.high)
    assert "val_over_plain" not in plain
    table = experiment.markdown([plain, dropout])
    lines = table.splitlines()
    assert "| plain | 90.00 (65.16 to 100.00) | 66.67 " in lines[2]
    assert lines[2].endswith("| 1.000 | 4.00000 |")
    assert "| +16.67 (" in lines[3]


@pytest.mark.exhaustive
def test_the_command_writes_table_numbers_and_picture(folder, tmp_path, monkeypatch, capsys):
    said = ["--data", str(folder), "--scale", "smoke", "--seeds", "2", "--limit", "0.7"]
    monkeypatch.setattr(sys, "argv", ["experiment", *said, "--out", str(tmp_path)])
    experiment.main()
    shown = capsys.readouterr().out
    rows = json.loads((tmp_path / "mnist_dropout_maxnorm.json").read_text())
    assert [row["name"] for row in rows] == ["plain", "dropout", "max-norm", "both"]
    for row in rows:
        assert f"| {row['name']} | " in shown
        assert len(row["norm_of_seeds"]) == 2
        limited = row["name"] in ("max-norm", "both")
        assert (max(row["norm_of_seeds"]) <= 0.7) == limited
    assert imread(tmp_path / "mnist_dropout_maxnorm.png").shape[1] == 880


@pytest.mark.parametrize(
    ("changed", "why"), [(("--seeds", "1"), "2 or more"), (("--data", "nowhere"), "nowhere")]
)
def test_the_command_says_what_it_cannot_do(folder, monkeypatch, capsys, changed, why):
    said = ["--data", str(folder), "--scale", "smoke", *changed]
    monkeypatch.setattr(sys, "argv", ["experiment", *said])
    with pytest.raises(SystemExit):
        experiment.main()
    assert why in capsys.readouterr().err
