"""How long cook trains: by the data and the work of an update, never by the clock."""

from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np
import pytest
from small_tasks import plain, small

import jrecipe as jr
from jrecipe.data import ArraySource
from jrecipe.data.splits import Splits
from jrecipe.recipe.dish import dish_of
from jrecipe.recipe.effort import (
    CPU_WORK,
    PROGRAMS,
    PROGRAMS_BOUNDED,
    effort,
    effort_of,
    lightened,
    update_flops,
)


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
