"""Seeds as arms of one program equal single runs, and knobs equal numbers written in the task."""

from __future__ import annotations

import jax
import numpy as np
import optax
import pytest
from small_tasks import Remote, noise, pictures, plain, small

import jrecipe as jr
from jrecipe.train.seeds import Arms, SeedRuns, fit_seeds

SEEDS = (0, 5)


def assert_same_runs(one: SeedRuns, other: SeedRuns) -> None:
    assert one.seeds == other.seeds
    np.testing.assert_array_equal(one.steps, other.steps)
    for name in ("val_loss", "train_loss", "train_end", "best"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-4)


@pytest.fixture(scope="module")
def arms() -> SeedRuns:
    return fit_seeds(small(model=plain(0.5), augment=noise), 6, SEEDS, looks=2)


def test_every_arm_equals_its_own_fit(arms):
    assert arms.steps.tolist() == [3, 6]
    assert arms.val_loss.shape == arms.train_loss.shape == (2, 2)
    for i, seed in enumerate(SEEDS):
        task = small(model=plain(0.5), augment=noise)
        run = jr.fit(task, 6, seed=seed, eval_every=3, progress=False)
        np.testing.assert_allclose(arms.val_loss[i], run.history["val_loss"][1:], rtol=1e-4)
        loss = run.history["loss"].reshape(2, 3).mean(axis=1)
        np.testing.assert_allclose(arms.train_loss[i], loss, rtol=1e-4)
        end = run.evaluate("train", best=False).loss
        np.testing.assert_allclose(arms.train_end[i], end, rtol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_convolutions_are_stepped_on_a_cpu_by_one_program_and_equal_their_own_fits():
    (x, y), (val_x, val_y) = pictures(60, 1), pictures(20, 2)
    train, val = (x.reshape(-1, 4, 4, 1), y), (val_x.reshape(-1, 4, 4, 1), val_y)
    task = small(model=jr.models.ConvNet(4, width=2, depth=1), train=train, val=val)
    program = Arms(task)
    runs = program.run(SEEDS, 4, looks=2)
    for i, seed in enumerate(SEEDS):
        run = jr.fit(task, 4, seed=seed, eval_every=2, progress=False)
        np.testing.assert_allclose(runs.val_loss[i], run.history["val_loss"][1:], rtol=1e-4)
        loss = run.history["loss"].reshape(2, 2).mean(axis=1)
        np.testing.assert_allclose(runs.train_loss[i], loss, rtol=1e-4)
    on_cpu = jax.default_backend() == "cpu"
    assert (program._step._cache_size(), program._advance._cache_size()) == (on_cpu, not on_cpu)


@pytest.mark.slow
def test_streamed_data_takes_the_way_through_fit_to_the_same_numbers(arms):
    task = small(model=plain(0.5), augment=noise, train=Remote(*pictures(60, 1)))
    assert_same_runs(fit_seeds(task, 6, SEEDS, looks=2), arms)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_knobs_equal_the_same_numbers_written_in_the_task():
    def variant(knobs):
        tx = optax.adamw(knobs["rate"], weight_decay=knobs["decay"])
        model = jr.models.MLP(4, width=8, depth=1, dropout=knobs["dropout"])
        return small(model=model, optimizer=tx)

    values = {"rate": 1e-2, "decay": 0.1, "dropout": 0.25}
    program = Arms(variant(values), variant)
    knobbed = program.run(SEEDS, 4, looks=2, knobs=values)
    assert_same_runs(knobbed, fit_seeds(variant(values), 4, SEEDS, looks=2))
    compiled = program._advance._cache_size()
    other = program.run(SEEDS, 4, looks=2, knobs={**values, "rate": 1e-4})
    assert program._advance._cache_size() == compiled  # another number, the same program
    assert not np.allclose(other.val_loss, knobbed.val_loss)


@pytest.mark.slow
def test_steps_are_rounded_up_and_a_run_that_blew_up_counts_as_the_worst():
    task = small(train=Remote(*pictures(60, 1)), optimizer=optax.sgd(1e30))
    runs = fit_seeds(task, 5, (0,), looks=2)
    assert runs.steps.tolist() == [3, 6]
    assert not np.isfinite(runs.best[0]) or runs.best[0] > 1e3
