"""The four states of the decision boundary are what they are called."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import optax
import pytest
from matplotlib.image import imread

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
import decision_boundary as experiment

pytestmark = pytest.mark.exhaustive  # of an experiment, whose training takes a while


@pytest.fixture(scope="module")
def states():
    reached = [experiment.reach(state, 0) for state in experiment.STATES]
    return {each.state.name: each for each in reached}


def test_before_training_the_network_guesses(states):
    random = states["random"]
    assert 0.3 < random.train < 0.7
    assert 0.3 < random.val < 0.7


def test_the_under_fit_network_does_as_badly_on_both(states):
    short = states["under-fit"]
    assert max(short.train, short.val) < 0.8
    assert abs(short.train - short.val) < 0.1


def test_the_robust_network_is_best_on_validation_and_as_good_on_training(states):
    robust = states["robust"]
    others = [each.val for name, each in states.items() if name != "robust"]
    assert robust.val > max(others) + 0.04
    assert abs(robust.train - robust.val) < 0.04


def test_the_over_fit_network_knows_its_points_by_heart(states):
    long = states["over-fit"]
    assert long.train > 0.98
    assert long.val < long.train - 0.15


def test_all_states_share_points_and_first_weights(states):
    points = np.linspace(-2, 2, 10, dtype=np.float32).reshape(5, 2)
    still = dataclasses.replace(experiment.STATES[1], updates=1, optimizer=optax.sgd(0.0))
    first = experiment.reach(still, 0).logits(points)
    np.testing.assert_allclose(states["random"].logits(points), first, rtol=1e-5, atol=1e-6)
    for split in ("train", "val"):
        given = [getattr(each.task, split).take(np.arange(50)) for each in states.values()]
        for x, y in given[1:]:
            np.testing.assert_array_equal(x, given[0][0])
            np.testing.assert_array_equal(y, given[0][1])


def test_one_label_in_ten_is_wrong_and_seeds_draw_other_points():
    points, labels = experiment.spirals(200, 3)
    assert (points.shape, points.dtype, labels.dtype) == ((200, 2), np.float32, np.float32)
    assert (labels != np.arange(200) % 2).sum() == 20
    task = experiment.task_of(experiment.STATES[0], 1)
    train, val = (source.take(np.arange(200))[0] for source in (task.train, task.val))
    assert not (train[:, None] == val[None]).all(axis=-1).any()
    assert not (points == train).any()
    far = [np.linalg.norm(part, axis=1) for part in (train, val)]
    assert abs(np.corrcoef(*far)[0, 1]) < 0.3  # drawn by themselves


def test_without_noise_the_spirals_stay_apart(monkeypatch):
    monkeypatch.setattr(experiment, "NOISE", 0.0)
    monkeypatch.setattr(experiment, "WRONG", 0.0)
    points, labels = experiment.spirals(300, 0)
    apart = np.linalg.norm(points[labels == 0][:, None] - points[labels == 1][None], axis=-1)
    assert apart.min() > 0.25  # of 0.28 at the very middle


def test_the_picture_shows_every_state_and_is_small(states, tmp_path):
    figure = experiment.draw([*states.values()])
    panels = figure.axes[:4]
    for panel, each in zip(panels, states.values(), strict=True):
        title = panel.get_title()
        assert title.startswith(f"{each.state.name}: ")
        assert f"training {100 * each.train:.0f} %, validation {100 * each.val:.0f} %" in title
        assert panel.images[0].origin == "lower"
        shown = np.asarray(panel.images[0].get_array())
        middle = each.logits(np.zeros((1, 2), np.float32))[0]
        assert shown[100, 100] == pytest.approx(1 / (1 + np.exp(-middle)), abs=1e-4)
        left_up = each.logits(np.array([[-experiment.EDGE, experiment.EDGE]], np.float32))[0]
        assert shown[200, 0] == pytest.approx(1 / (1 + np.exp(-left_up)), abs=1e-4)
    experiment.save(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size < 150_000
    assert imread(tmp_path / "picture.png").shape[1] == 880


def test_the_command_writes_table_numbers_and_picture(monkeypatch, tmp_path, capsys):
    random = experiment.STATES[:1]
    monkeypatch.setattr(experiment, "STATES", random)
    monkeypatch.setattr(sys, "argv", ["decision_boundary", "--seeds", "2", "--out", str(tmp_path)])
    experiment.main()
    rows = json.loads((tmp_path / "decision_boundary.json").read_text())
    assert [(row["seed"], row["state"]) for row in rows] == [(0, "random"), (1, "random")]
    values = [100 * row["val"] for row in rows]
    said = f"{np.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"
    assert f"| {said} |" in capsys.readouterr().out
    assert (tmp_path / "decision_boundary.png").is_file()
