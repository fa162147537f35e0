"""A run that only makes a network worse is told so, and its repaired twin is not."""

from __future__ import annotations

import numpy as np
import optax
import pytest

import jrecipe as jr
from jrecipe.cli.fit_report import report_of
from jrecipe.recipe.dish import dish_of
from jrecipe.recipe.never_better import never_better
from jrecipe.train import Clock


def run(rate, steps=40, every=10):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 4)).astype(np.float32)
    targets = np.argmax(inputs[:, :3], axis=1).astype(np.int32)
    task = jr.Task(
        model=jr.models.MLP(3, width=8),
        loss=jr.losses.softmax_cross_entropy(),
        train=(inputs[:150], targets[:150]),
        val=(inputs[150:], targets[150:]),
        optimizer=optax.sgd(rate),
        batch_size=32,
    )
    return jr.fit(task, steps, eval_every=every, progress=False)


def test_a_rate_far_too_high_is_told_and_the_report_has_it():
    fit = run(100.0)
    found = never_better(fit)
    assert found.verdict is jr.Verdict.WARNED
    assert found.evidence["least"] > found.evidence["first"] == pytest.approx(np.log(3), abs=0.01)
    report = report_of(dish_of(fit.task), fit, 0, Clock(), "")
    assert [f.check for f in report.findings] == ["better-than-begun"]
    assert report.ok  # a warning


def test_a_run_that_learns_or_hardly_looked_is_left_alone():
    assert never_better(run(0.3)) is None
    assert never_better(run(100.0, steps=2, every=1)) is None
