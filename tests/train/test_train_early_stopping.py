"""Early stopping: it ends where it should, restores the best, and a resume changes nothing."""

from __future__ import annotations

import functools

import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_tasks import assert_identical, noise, plain, small
from strategies import seeds

import jrecipe as jr
from jrecipe.train.early_stopping import out_of_patience, waited
from jrecipe.train.history import History

pytestmark = pytest.mark.thin(2)

losses = st.lists(st.one_of(st.floats(0, 3), st.just(float("nan"))), max_size=12)


@given(losses=losses, min_delta=st.sampled_from((0.0, 0.2)))
def test_waiting_is_counted_from_the_last_that_fell(losses, min_delta):
    lowest, since = None, 0
    for i, loss in enumerate(losses):
        fell = not np.isnan(loss) and (lowest is None or loss < lowest - min_delta)
        since = 0 if fell or i == 0 else since + 1
        lowest = loss if fell else lowest
    assert waited(losses, min_delta) == since


@given(losses=losses)
def test_without_min_delta_it_is_counted_from_the_lowest(losses):
    if np.isfinite(losses).any():
        assert waited(losses) == len(losses) - 1 - int(np.nanargmin(losses))


def test_small_steps_count_when_their_sum_does():
    assert waited([1.0, 0.96, 0.92, 0.88], min_delta=0.1) == 0
    assert waited([1.0, 0.96, 0.92], min_delta=0.1) == 2
    assert waited([1.0, 1.0]) == 1  # the same is no improvement


def history(steps, values) -> History:
    rows = History()
    for step, value in zip(steps, values, strict=True):
        rows.add(step, {"val_loss": value})
    return rows


def test_what_is_said_and_when():
    rows = history([0, 4, 8, 12], [3.0, 1.0, 2.0, 0.95])
    assert out_of_patience(rows, None, 0.0, 4) == ""
    assert out_of_patience(rows, 1, 0.0, 4) == ""
    said = out_of_patience(rows, 2, 0.1, 4)
    assert (
        said == "the validation loss has not fallen by more than 0.1 in 2 evaluations since step 4"
    )
    assert out_of_patience(rows, 3, 0.1, 4) == ""
    assert out_of_patience(History(), 1, 0.0, 4) == ""


def test_an_evaluation_where_a_run_was_cut_off_does_not_count():
    whole, cut = history([0, 4, 8], [3.0, 1.0, 2.0]), history([0, 4, 5, 8], [3.0, 1.0, 1.5, 2.0])
    for patience in (1, 2):
        said = (out_of_patience(rows, patience, 0.0, 4) for rows in (whole, cut))
        assert len(set(said)) == 1


def overfits(**changes) -> jr.Task:
    """Few examples, a third of them with wrong labels: the validation loss falls, then rises."""
    x, y = small().train.take(np.arange(30))
    wrong = np.concatenate([(y[:10] + 1) % 4, y[10:]]).astype(np.int32)
    network = plain(dropout=0.2)
    return small(
        train=(x, wrong), model=network, augment=noise, optimizer=optax.adam(0.03), **changes
    )


def fit(seed=0, steps=60, **options) -> jr.Fit:
    given = {"eval_every": 3, "progress": False, "patience": 3}
    return jr.fit(overfits(), steps, seed=seed, **{**given, **options})


whole = functools.cache(fit)


@pytest.mark.exhaustive
@pytest.mark.slow
@settings(max_examples=2)
@given(seed=seeds)
def test_early_stopping_restores_the_best(seed):
    run = fit(seed)
    steps, values = run.history.steps("val_loss"), run.history["val_loss"]
    assert run.best_step == steps[np.argmin(values)]
    assert run.best_step > 0
    assert run.steps == run.best_step + 3 * 3 < 60  # not earlier, not later
    assert run.stopped.endswith(f"in 3 evaluations since step {run.best_step}")
    assert "stopped, as the validation loss" in str(run)
    assert not run.interrupted
    assert not run.problem
    assert run.evaluate().loss == pytest.approx(values.min(), rel=1e-6)
    # The weights are those of a run that ended there.
    assert_identical(run.best, fit(seed, run.best_step).state)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_patience_has_to_run_out():
    endless, stopped = fit(patience=None, steps=30), fit(patience=100, steps=30)
    assert (endless.steps, endless.stopped) == (stopped.steps, stopped.stopped) == (30, "")
    assert_identical(endless.state, stopped.state)
    assert whole().steps < 30
    assert fit(min_delta=10.0).steps == 9  # nothing falls by so much


@pytest.mark.exhaustive
# between evaluations, and at one
@pytest.mark.slow
@pytest.mark.parametrize("cut", [4, pytest.param(6, marks=pytest.mark.slow)])
def test_a_resumed_run_stops_where_it_would_have_stopped(tmp_path, cut):
    fit(steps=cut, out=tmp_path)
    resumed = fit(out=tmp_path, resume=True)
    assert (resumed.steps, resumed.stopped) == (whole().steps, whole().stopped)
    assert_identical((resumed.state, resumed.best), (whole().state, whole().best))
    again = fit(out=tmp_path, resume=True)  # it has stopped, and stays as it is
    assert (again.steps, again.stopped) == (resumed.steps, resumed.stopped)
    more = fit(steps=resumed.steps + 3, out=tmp_path, resume=True, patience=None)
    assert more.steps == resumed.steps + 3


def test_a_foreign_trainer_is_stopped_too():
    task = overfits()
    own = jr.train.reference_trainer(task)
    run = jr.fit(task.replace(trainer=own), 60, eval_every=3, patience=3, progress=False)
    assert run.stopped
    assert run.steps == run.best_step + 9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "fit needs patience as an integer >= 1, got 0"),
        ({"patience": 2.5}, "fit needs patience as an integer >= 1, got 2.5"),
        ({"min_delta": -0.1}, "fit needs a finite min_delta >= 0, got -0.1; try 0.0"),
        ({"min_delta": float("nan")}, "fit needs a finite min_delta >= 0, got nan"),
    ],
)
def test_bad_options_say_what_to_do(options, message):
    with pytest.raises(jr.TaskError, match=message):
        fit(**options)
