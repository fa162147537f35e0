"""`fit`: reproducible, resumable at any step, the same however the data comes."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small_tasks import Remote, assert_close, assert_identical, noise, pictures, plain, small

import jrecipe as jr
from jrecipe.data import batch_rows
from jrecipe.train import checkpoint_steps
from jrecipe.train.chunks import scalars

NOISY = small(model=plain(dropout=0.5), augment=noise)


def fit(task, steps=12, **options):
    return jr.fit(task, steps, **{"eval_every": 4, "progress": False, **options})


@pytest.fixture(scope="module")
def whole() -> jr.Fit:
    return fit(NOISY)


def counting(task: jr.Task) -> tuple[jr.Task, list[int]]:
    """Returns the task, and a list that grows by one at each trace of the training step."""
    traces: list[int] = []

    def apply(params, state, inputs, *, key=None, train=False):
        if train:
            traces.append(1)
        return model.apply(params, state, inputs, key=key, train=train)

    model = task.model
    return task.replace(model=dataclasses.replace(model, apply=apply)), traces


def test_two_runs_are_bit_identical_and_two_seeds_are_not(whole):
    again, other = fit(NOISY), fit(NOISY, seed=1)
    assert_identical((again.state, again.best), (whole.state, whole.best))
    assert again.history.rows == whole.history.rows
    assert other.history["loss"][0] != whole.history["loss"][0]


def test_the_step_sees_the_rows_that_the_order_names():
    rows = np.arange(60, dtype=np.float32)[:, None]
    seen = []

    def apply(params, state, inputs, *, key=None, train=False):
        if train:
            jax.debug.callback(
                lambda x: seen.append(np.asarray(x)[:, 0].astype(int)), inputs, ordered=True
            )
        return params * inputs, state

    model = jr.Model(lambda key, inputs: (jnp.zeros((1, 1)), {}), apply)
    task = jr.Task(
        model=model, loss=jr.losses.l2(), train=(rows, rows), val=(rows, rows), batch_size=16
    )
    fit(task, 5, seed=3)
    jax.effects_barrier()
    np.testing.assert_array_equal(np.stack(seen), batch_rows(60, 16, seed=3, step=0, count=5))


@pytest.mark.parametrize(  # between evaluations, and at one
    "stop", [5, pytest.param(8, marks=pytest.mark.exhaustive)]
)
def test_interrupted_and_resumed_equals_uninterrupted(whole, tmp_path, stop):
    fit(NOISY, stop, out=tmp_path)
    resumed = fit(NOISY, out=tmp_path, resume=True)
    assert_identical((resumed.state, resumed.best), (whole.state, whole.best))
    kept = [row for row in resumed.history.rows if "loss" in row or row["step"] % 4 == 0]
    assert kept == whole.history.rows
    assert checkpoint_steps(tmp_path / "checkpoints") == [8, 12]
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(lines) == len(resumed.history.rows)


@pytest.mark.slow
def test_a_finished_run_that_is_resumed_stays_as_it_is(tmp_path):
    first = fit(NOISY, 8, out=tmp_path)
    for steps in (8, 3):  # nothing is left to do
        again = fit(NOISY, steps, out=tmp_path, resume=True)
        assert again.steps == 8
        assert_identical(again.state, first.state)
    assert checkpoint_steps(tmp_path / "checkpoints") == [4, 8]


@pytest.mark.slow
def test_streamed_data_gives_the_bits_of_data_in_memory(whole):
    streamed = fit(NOISY.replace(train=Remote(*pictures(60, 1))))
    assert_close(streamed.state.params, whole.state.params, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(streamed.history["loss"], whole.history["loss"], rtol=1e-6)
    again = fit(NOISY.replace(train=Remote(*pictures(60, 1))))
    assert_identical(again.state, streamed.state)


@pytest.mark.slow
def test_a_convolution_trains_in_a_loop_to_the_numbers_of_a_scan(monkeypatch):
    class Net(nn.Module):
        """One convolution."""

        @nn.compact
        def __call__(self, x):
            return nn.Dense(4)(nn.relu(nn.Conv(3, (3, 3))(x)).mean(axis=(1, 2)))

    inputs, labels = pictures(60, 1)
    train = (inputs.reshape(60, 4, 4, 1), labels)
    task = small(model=Net(), train=train, val=train)
    looped = fit(task, 5)
    monkeypatch.setattr("jrecipe.train.chunks.scans_well", lambda *args: True)
    scanned = fit(task, 5)
    assert_close(looped.state.params, scanned.state.params, rtol=1e-4, atol=1e-6)
    assert len(looped.history["loss"]) == 5


@pytest.mark.slow
def test_the_number_of_traces_does_not_grow_with_the_steps():
    counts = []
    for steps in (4, 24):
        task, traces = counting(small())
        fit(task, steps)
        counts.append(len(traces))
    assert counts[0] == counts[1] <= 4


def test_evaluations_come_when_asked_and_at_the_end():
    assert fit(small(), 10, eval_every=4).history.steps("val_loss").tolist() == [0, 4, 8, 10]
    assert fit(small(), 3, eval_every=None).history.steps("val_loss").tolist() == [0, 1, 2, 3]


def test_the_best_state_is_the_one_with_the_lowest_validation_loss():
    run = fit(small(optimizer=optax.adam(0.3)), 40)
    val, at = run.history["val_loss"], run.history.steps("val_loss")
    assert run.best_step == at[np.argmin(val)]
    assert run.evaluate().loss == pytest.approx(val.min(), rel=1e-6)
    assert run.evaluate(best=False).loss == pytest.approx(val[-1], rel=1e-6)


def test_a_loss_that_blows_up_ends_the_run_and_says_where():
    run = fit(small(optimizer=optax.sgd(1e30)), 12)
    assert run.steps < 12
    assert not run.interrupted
    bad = int(run.history.steps("loss")[~np.isfinite(run.history["loss"])][0])
    assert f"at step {bad}; grad_norm was" in run.problem
    assert run.problem in str(run)
    assert run.best_step == 0
    assert "nan" not in str(run).split("(")[0]


def own_trainer(metrics):
    """Returns a trainer that counts its steps in a NumPy array, in place."""

    def step(state, batch, key):
        state["w"] += 1.0
        return state, metrics(state)

    return jr.Trainer(
        init=lambda key: {"w": np.zeros((16, 4), np.float32)},
        step=step,
        predict=lambda state, inputs: inputs @ state["w"] + 100 * jnp.eye(4)[0][None],
        params=lambda state: state,
    )


def test_the_best_state_of_a_trainer_that_works_in_place_is_kept():
    run = fit(small(model=None, trainer=own_trainer(lambda state: None)), 8)
    val = run.history["val_loss"]
    assert run.evaluate().loss == pytest.approx(val.min(), rel=1e-6)
    assert float(run.state["w"][0, 0]) == 8
    assert float(run.best["w"][0, 0]) == run.best_step


@pytest.mark.parametrize(
    ("metrics", "loss"),
    [
        (lambda state: None, []),
        (lambda state: jnp.float32(2.0), [2.0] * 3),
        (lambda state: {"loss": 2, "step": 9, "val_loss": 1.0, "note": "warm"}, [2.0] * 3),
        (lambda state: {"loss": np.nan}, [np.nan]),
    ],
)
def test_any_metrics_of_a_foreign_step_are_understood(metrics, loss):
    run = fit(small(model=None, trainer=own_trainer(metrics)), 3, eval_every=1)
    np.testing.assert_array_equal(run.history["loss"], loss)
    assert run.history.steps("val_loss")[0] == 0
    assert bool(run.problem) == bool(np.isnan(loss).any())
    assert "<p>small" in run._repr_html_()


def test_scalars_are_numbers_of_any_kind():
    given = {"a": 1, "b": jnp.bfloat16(2), "c": np.float64(3), "d": True, "e": np.ones(2), "f": "x"}
    assert scalars(given) == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 1.0}
    assert scalars(jnp.ones(3)) == scalars((1.0, 2.0)) == scalars(None) == {}


def test_the_learning_curve_runs_through_the_evaluations(whole):
    curves = whole.curves()
    np.testing.assert_array_equal(curves.x, np.arange(1, 13))
    line = np.asarray(curves.lines["validation, exact"])
    np.testing.assert_allclose(line[[3, 7, 11]], whole.history["val_loss"][1:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps as an integer >= 1, got 0"),
        ({"steps": 2.0}, "steps as an integer >= 1, got 2.0"),
        ({"eval_every": 0}, "eval_every as an integer >= 1, got 0"),
        ({"resume": True}, "resume=True without `out`; name the folder"),
    ],
)
def test_arguments_that_make_no_sense(options, message):
    with pytest.raises(jr.TaskError, match=message):
        fit(small(), **options)


def test_a_folder_with_another_run_is_left_alone(tmp_path):
    fit(small(), 1, out=tmp_path)
    with pytest.raises(jr.TaskError, match=r"holds another run \(step 1\); resume it or name"):
        fit(small(), 2, out=tmp_path)


def test_a_state_that_no_checkpoint_can_hold_is_refused_before_training(tmp_path):
    trainer = dataclasses.replace(own_trainer(lambda state: None), init=lambda key: object())
    with pytest.raises(jr.TaskError, match="state with a object, which no checkpoint can hold"):
        fit(small(model=None, trainer=trainer), out=tmp_path)
