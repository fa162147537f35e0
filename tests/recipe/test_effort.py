"""How long cook trains: by the data and the work of an update; by the clock if asked to."""

from __future__ import annotations

import dataclasses
import time

import flax.linen as nn
import jax
import numpy as np
import pytest
from small_tasks import pictures as flat
from small_tasks import plain, small

import jrecipe as jr
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe.deadline import RESERVE, Deadline
from jrecipe.recipe.dish import dish_of
from jrecipe.recipe.effort import (
    CPU_WORK,
    PROGRAMS,
    PROGRAMS_BOUNDED,
    Effort,
    Pace,
    effort,
    effort_of,
    finish,
    lightened,
    looks_within,
    pace_of,
    trials_within,
    update_flops,
)

VAL = flat(100, 1)


def test_epochs_decide_within_limits():
    few, many, huge = (effort(epoch, 0.0, CPU_WORK) for epoch in (1, 10**4, 10**5))
    assert few.rung == 300
    assert many.rung == huge.rung == 1500
    assert few.final == 600
    assert (many.final, huge.final) == (10**5, 10**6)  # ten epochs
    assert effort(100, 0.0, CPU_WORK).final == 4000
    assert not few.bounded
    assert not many.bounded


def test_work_bounds_what_is_wanted():
    free = effort(750, 1e6, CPU_WORK)
    assert free == effort(750, 0.0, CPU_WORK)
    bound = effort(750, 1e10, CPU_WORK)
    assert bound.bounded
    assert bound.final == 980  # seven tenths of the work
    assert bound.rung == 100  # the least
    assert effort(750, 1e10, 100 * CPU_WORK) == effort(750, 1e8, CPU_WORK) != bound
    assert (bound.looks, free.looks) == (2, 10)  # looking costs more than so short a rung


def test_the_work_of_all_runs_stays_within_its_bound():
    for flops in (1e9, 3e9, 1e10):
        found = effort(750, flops, 10 * CPU_WORK)
        programs = PROGRAMS_BOUNDED if found.bounded else PROGRAMS
        updates = found.final + programs * len(found.seeds) * found.rung
        assert updates * flops < 1.02 * 10 * CPU_WORK  # rounded up to tens


def test_work_is_that_of_the_network():
    """A dense layer multiplies and adds forwards, and twice backwards but for the inputs."""

    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dense(3)(nn.Dense(500, use_bias=False)(x.reshape(len(x), -1)))

    task = small(model=Wide())
    n, d = task.batch_size, int(np.prod(task.train.take(np.arange(1))[0].shape[1:]))
    products = 2 * n * (2 * d * 500 + 3 * 500 * 3)
    assert 1.0 < update_flops(task) / products < 1.5
    assert update_flops(small(model=plain())) > 0


def test_a_trainer_of_its_own_has_no_known_work():
    task = small()
    assert update_flops(task) > 0
    assert update_flops(task.replace(trainer=jr.train.reference_trainer(task))) == 0


def pictures(n: int, side: int) -> Splits:
    x = np.zeros((n, side, side, 1), np.uint8)
    x[::2] = 1
    y = (np.arange(n) % 2).astype(np.int32)
    parts = [ArraySource(x, y), ArraySource(x[:10], y[:10]), None]
    return Splits("pictures", *parts, "classes", ("black", "white"))


@pytest.mark.slow
def test_a_network_that_is_too_much_work_begins_smaller():
    dish, said = lightened(dish_of(pictures(30_000, 28)))
    assert dish.plan.width < 32
    assert f"convnet, width {dish.plan.width}, not as convnet, width 32" in said[0]
    fits = effort_of(dish.task).final * dish.task.batch_size / 30_000
    assert fits >= 5 or dish.plan.width == 8
    same, said = lightened(dish_of(pictures(100, 8)))
    assert same.plan.width == 32
    assert said == ()


@pytest.mark.parametrize("task", [small()])
def test_the_network_of_a_user_stays(task):
    dish, said = lightened(dish_of(task))
    assert dish.task.model is task.model
    assert said == ()


@pytest.mark.exhaustive
def test_where_work_is_short_little_is_tried_and_the_rate_falls():
    dish = dish_of(pictures(100, 28))
    names = [rung.name for rung in dish.rungs(50, bounded=True)]
    assert names[:2] == ["BatchNorm", "learning rate 0.003"]
    assert names[2:] == ["move by up to 2 px", "mirror left-right"]
    assert "BatchNorm" not in [rung.name for rung in dish.rungs(50)]
    normed = dish.rungs(50, bounded=True)[0].apply(dish)
    assert any("norm" in name for name in normed.task.model.init(*start(normed))[0])
    assert [rung.name for rung in normed.rungs(50, bounded=True)] == names[1:]
    assert dish.stretched(70).plan.decay_over == 0
    assert dish.stretched(70, bounded=True).plan.decay_over == 70
    runs = dish_of(pictures(100, 8)).train((1, 2), 4, looks=2)
    assert runs.val_loss.shape == (2, 2)


def start(dish):
    return jax.random.key(0), dish.task.train.take(np.arange(1))[0]


def test_minutes_are_counted_down_and_divided():
    free = Deadline()
    assert free.left == np.inf
    assert free.part(0.1) is free
    soon = Deadline(1.0, spent=30.0)
    assert soon.left == pytest.approx(30.0 - RESERVE, abs=0.5)
    assert soon.part(0.5).left == pytest.approx(0.5 * soon.left, abs=0.5)
    over = Deadline(1.0, spent=90.0)
    assert over.left == 0.0
    assert over.part(0.5).left == 0.0


@pytest.mark.slow
def test_where_time_is_given_an_update_is_timed():
    plenty, none = (effort_of(small(), Deadline(minutes)) for minutes in (10.0, 1e-3))
    assert not plenty.bounded
    assert none.bounded
    assert none.rung == 20
    assert none.final == 100


@pytest.mark.slow
def test_a_large_validation_split_does_not_make_an_update_dear():
    """It is scored now and then; a run of few updates would be nothing but that."""
    few, many = (
        pace_of(small(val=tuple(np.repeat(x, n, axis=0) for x in VAL)), Deadline(10.0)).cost
        for n in (1, 3_000)
    )
    assert many < 5 * few


def test_evaluations_take_a_share_of_a_run_however_large_the_split_is():
    val = tuple(np.repeat(x, 100, axis=0) for x in VAL)  # 10,000 examples
    task = small(val=val, batch_size=50)
    assert looks_within(task, 10, 20) == 1
    assert looks_within(task, 1_000, 20) == 4  # 45,000 rows, of 50,000 that were trained on
    assert looks_within(task, 10**6, 20) == 20
    assert effort_of(task).looks < effort_of(small(batch_size=50)).looks == 10


def test_a_trainer_of_its_own_is_timed_as_it_is():
    slow = jr.train.reference_trainer(small())

    def step(state, batch, key):
        time.sleep(0.02)
        return slow.step(state, batch, key)

    task = small(trainer=dataclasses.replace(slow, step=step))
    assert 0.02 < pace_of(task, Deadline(10.0)).cost < 1.0


@pytest.mark.parametrize(
    ("left", "ending"),
    [
        pytest.param(10.0, (100, 1), id="nothing: the least that trains"),
        pytest.param(100.0, (900, 1), id="too little for the run that is wanted"),
        pytest.param(260.0, (650, 3), id="three shorter members and a student"),
        pytest.param(500.0, (1000, 4), id="enough"),
        pytest.param(1e5, (1000, 10), id="more than anyone needs"),
    ],
)
def test_a_long_enough_run_comes_before_members(left, ending):
    assert finish(Pace(cost=0.1, work=0.0), 1000, left) == ending


def test_without_a_deadline_work_decides_whether_there_is_an_ensemble():
    cheap, dear = (finish(Pace(cost=cost, work=1e3), 100) for cost in (1.0, 10.0))
    assert cheap == (100, 3)
    assert dear == (100, 1)


def test_a_search_needs_time_for_its_judges():
    pace, few = Pace(cost=0.1, work=0.0, compiling=1.0), Effort(rung=10, final=0)
    assert trials_within(pace, few) == 16
    assert trials_within(pace, few, left=10.0) == 0
    assert 8 <= trials_within(pace, few, left=16.0) < 64
    assert trials_within(pace, few, left=1e4) == 64
