"""The healthy programs are what they claim to be: they build, and they learn."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jrecipe as jr

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments"))
from gallery.healthy import HEALTHY
from gallery.program import Healthy
from gallery.real import REAL

pytestmark = pytest.mark.thin(4)
PROGRAMS = {program.name: program for program in HEALTHY}
# Their losses look at the batch alone, so that crossed targets cost nothing.
WITHOUT_TARGETS = ("digits/contrastive",)
QUICK = (
    "digits/sgd-1-batch-norm",
    "digits/frozen-trunk",
    "numbers/gaussian",
    "tags/masked-mean",
    "foreign/numpy-by-hand",
    "foreign/micro-batches",
)


def mean_loss(task: jr.Task, outputs: Any, targets: Any) -> float:
    """The exact mean over a split."""
    outputs, targets = jax.tree.map(jnp.asarray, (outputs, targets))
    return float(jr.losses.weighted_mean(*jr.losses.weighted(task.loss, outputs, targets)))


def learn(task: jr.Task, steps: int) -> tuple[float, float, float]:
    """Mean validation loss before and after training, and after it with the targets mixed up.

    A network that answers a constant has the same loss on mixed-up targets.
    """
    trainer = jr.train.trainer_of(task)
    inputs, targets = task.val.take(np.arange(len(task.val)))
    start = trainer.predict(trainer.init(jax.random.key(0)), inputs)
    before = mean_loss(task, start, targets)
    fit = jr.fit(task, steps=steps, eval_every=steps, progress=False)
    assert not fit.problem
    outputs = trainer.predict(fit.state, inputs)
    order = np.random.default_rng(0).permutation(len(task.val))
    crossed = jax.tree.map(lambda a: a[order], targets)
    return before, mean_loss(task, outputs, targets), mean_loss(task, outputs, crossed)


def assert_learns(program: Healthy, steps: int) -> None:
    before, after, crossed = learn(program.build(0), steps)
    assert after < before
    assert program.name in WITHOUT_TARGETS or after < crossed - 0.1 * abs(crossed)


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(PROGRAMS) == len(HEALTHY)
    assert sum(program.odd for program in HEALTHY) >= 66


@pytest.mark.parametrize("name", ["digits/plain", "digits/rare-declared", "series/stretches"])
def test_a_seed_decides_the_data(name: str) -> None:
    build = PROGRAMS[name].build
    first, again, other = (build(seed).train.take(np.arange(8)) for seed in (3, 3, 4))
    assert jax.tree.all(jax.tree.map(np.array_equal, first, again))
    assert not np.array_equal(first[0], other[0])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_every_program_builds_and_is_small() -> None:
    for program in HEALTHY:
        task = program.build(1)
        assert 12 <= len(task.train) <= 500, program.name
        assert len(task.val) <= 500, program.name


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", QUICK)
def test_a_few_learn_more_than_a_constant(name: str) -> None:
    assert_learns(PROGRAMS[name], 150)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", sorted(PROGRAMS)[:: int(os.environ.get("JRECIPE_STRIDE", "8"))])
def test_all_learn_more_than_a_constant(name: str) -> None:
    assert_learns(PROGRAMS[name], 300)


def test_there_are_thirteen_published_programs_with_documented_causes() -> None:
    from jrecipe.checks.result import CAUSES, COMPONENTS

    assert len(REAL) == len({fault.name for fault in REAL}) == 13
    for fault in REAL:
        assert fault.real
        assert set(fault.causes) <= set(CAUSES)
        assert set(fault.components) <= set(COMPONENTS)
        assert len(fault.property) > 20
        for task in (fault.build(0, "strong"), fault.twin(0)):
            assert len(task.train) <= 500


@pytest.mark.exhaustive
def test_a_published_program_fails_and_its_twin_learns() -> None:
    fault = next(fault for fault in REAL if fault.name == "real/so_66602662")
    before, after, _ = learn(fault.build(0, "strong"), 100)
    assert after > 0.9 * before
    before, after, crossed = learn(fault.twin(0), 200)
    assert after < 0.6 * min(before, crossed)


@pytest.mark.slow
@pytest.mark.parametrize("fault", REAL[::4], ids=lambda fault: fault.name)
def test_all_repaired_twins_learn(fault: Any) -> None:
    before, after, crossed = learn(fault.twin(0), 300)
    assert after < 0.6 * min(before, crossed)
