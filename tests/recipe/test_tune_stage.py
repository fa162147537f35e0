"""The search of `cook`: what is surely better is adopted, and nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import optax
import pytest
from small_tasks import small

import jrecipe as jr
from jrecipe.checks import Verdict
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe.dish import PlannedDish, dish_of
from jrecipe.recipe.effort import Effort
from jrecipe.recipe.plan import Plan
from jrecipe.recipe.tune_stage import scored_on_few, tune

EFFORT = Effort(rung=36, final=0, seeds=(1, 2, 3))


def noisy_task(rate: float) -> jr.Task:
    return small(optimizer=optax.sgd(rate))


@pytest.mark.slow
def test_a_rate_that_is_far_too_low_is_found_and_raised():
    dish = dish_of(noisy_task(1e-3))
    tuned = tune(dish, EFFORT, trials=8, seed=0)
    assert tuned.dish.rate > 3
    assert tuned.finding.evidence["adopted"]
    assert tuned.finding.evidence["gain"] > tuned.finding.evidence["half-width"]
    assert "are adopted" in tuned.finding.finding
    assert tuned.section.table.rows[0][0] == "as it was"
    # Fresh seeds: none of those that chose.
    assert min(tuned.runs.seeds) > 10_000


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_rate_that_is_right_is_kept():
    good = dish_of(noisy_task(2.0))
    tuned = tune(good, EFFORT, trials=8, seed=1)
    assert tuned.dish is good
    assert not tuned.finding.evidence["adopted"]
    assert "those before are kept" in tuned.finding.finding


@pytest.mark.slow
@pytest.mark.parametrize("bounded", [True, pytest.param(False, marks=pytest.mark.exhaustive)])
def test_numbers_of_a_plan_are_searched_and_adopted(bounded):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 6)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int32)
    parts = [ArraySource(x[c], y[c]) for c in (slice(0, 160), slice(160, None), slice(160, None))]
    splits = Splits("plane", *parts, "classes", ("low", "high"))
    dish = PlannedDish(splits, Plan(width=8, depth=1, learning_rate=1e-5, batch_size=32))
    effort = dataclasses.replace(EFFORT, bounded=bounded)
    tuned = tune(dish, effort, trials=8, seed=0)
    assert tuned.dish.plan.learning_rate > 1e-4
    assert (tuned.dish.plan.dropout > 0) != bounded
    assert tuned.dish.plan.width == 8  # found by overfitting, not searched
    assert tuned.dish.plan.decay_over == EFFORT.rung
    assert {"learning_rate", "weight_decay", "dropout"} == set(dish.search(36).space)
    assert set(dish.search(36, bounded=True).space) == {"learning_rate"}


@pytest.mark.parametrize("why", ["no time", "own trainer", "all blow up"])
def test_what_cannot_be_searched_stays_and_the_reason_is_told(why):
    task, trials = noisy_task(0.1), 8
    if why == "own trainer":
        task = task.replace(trainer=jr.train.reference_trainer(task))
    if why == "all blow up":
        task = noisy_task(float("nan"))
    dish = dish_of(task)
    tuned = tune(dish, EFFORT, trials=0 if why == "no time" else trials, seed=0)
    assert tuned.dish is dish
    assert tuned.runs is None
    assert tuned.finding.verdict is Verdict.SKIPPED
    words = {"no time": "no time", "own trainer": "own step", "all blow up": "8 trials blew up"}
    assert words[why] in tuned.finding.finding


def test_trials_are_compared_on_what_they_can_afford():
    task = noisy_task(0.1)
    large = task.replace(
        val=tuple(np.repeat(x, 100, axis=0) for x in task.val.take(np.arange(len(task.val))))
    )
    make = lambda params: large  # noqa: E731
    assert scored_on_few(make, large, 10**6) is make
    few = scored_on_few(make, large, 1)({}).val
    assert len(few) == 256
    labels = few.take(np.arange(256))[1]
    assert set(labels) == set(large.val.take(np.arange(len(large.val)))[1])  # spread over all
