"""A run without an end: it stops when asked, goes on as if it had not, and does not grow."""

from __future__ import annotations

import dataclasses
import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tasks import assert_identical, noise, plain, small

import jrecipe as jr
from jrecipe.data import batch_rows
from jrecipe.train import History, cadence, checkpoint_steps, loop
from jrecipe.train.cadence import Cadence
from jrecipe.train.chunks import foreign_chunk, own_chunk
from jrecipe.train.layout import make_layout
from jrecipe.train.plateau import plateaus_in
from jrecipe.train.thinning import stride

NOISY = small(model=plain(dropout=0.5), augment=noise)


def pressing(number: signal.Signals, at: int):
    """Returns a logger that sends this process a signal, once, when it is told of a step."""
    sent: list[int] = []

    def log(step, numbers):
        if step >= at and not sent:
            sent.append(step)
            os.kill(os.getpid(), number)

    return [log]


def endless(task=NOISY, **options) -> jr.Fit:
    return jr.fit(task, None, **{"eval_every": 50, "progress": False, **options})


@pytest.fixture
def thin_early(monkeypatch):
    """Thins after a few updates what is otherwise thinned after thousands."""
    monkeypatch.setattr(loop, "UPDATES", 64)


def test_it_trains_until_it_is_asked_to_stop_and_goes_on_exactly(tmp_path, thin_early):
    first = endless(out=tmp_path, loggers=pressing(signal.SIGTERM, 60))
    assert (first.interrupted, first.signal, first.stopped) == (True, "SIGTERM", "")
    press = pressing(signal.SIGINT, first.steps + 100)
    second = endless(out=tmp_path, resume=True, loggers=press)
    assert (second.interrupted, second.signal) == (True, "SIGINT")
    assert 0 < first.steps < second.steps
    whole = jr.fit(NOISY, second.steps, eval_every=50, progress=False)
    assert_identical(second.state, whole.state)
    rows = [row for row in whole.history.rows if "loss" not in row or kept(row["step"], 64)]
    rows = [row for row in rows if "loss" in row or row["step"] % 50 == 0]
    got = [row for row in second.history.rows if "plateau" not in row]
    assert got == rows
    assert History.load(tmp_path / "history.jsonl").rows == second.history.rows
    if whole.best_step % 50 == 0:  # else it is where the run with an end looked once more
        assert_identical(second.best, whole.best)


def kept(number: int, dense: int) -> bool:
    return number % stride(number, dense) == 0


@given(dense=st.integers(1, 50), octaves=st.integers(0, 12))
def test_what_is_kept_grows_by_as_much_each_time_the_run_doubles(dense, octaves):
    assert all(kept(number, dense) for number in range(1, dense + 1))
    end = dense * 2**octaves
    many = sum(kept(number, dense) for number in range(1, end + 1))
    assert many <= dense + octaves * (dense / 2 + 1)
    assert kept(end, dense)


def test_a_history_keeps_ever_fewer_updates_however_they_come():
    parts, whole = History(), History()
    losses = np.random.default_rng(0).normal(size=1_000)
    whole.extend(0, {"loss": losses}, dense=16)
    for start, end in ((0, 3), (3, 500), (500, 501), (501, 1_000)):
        parts.extend(start, {"loss": losses[start:end]}, dense=16)
    assert parts.rows == whole.rows
    assert whole.steps("loss").tolist() == [n for n in range(1, 1_001) if kept(n, 16)]
    assert whole["loss"].tolist() == [losses[n - 1] for n in range(1, 1_001) if kept(n, 16)]


@pytest.mark.parametrize("steps", [None, 1_000])
def test_evaluations_come_where_they_are_due_from_wherever_a_run_starts(monkeypatch, steps):
    monkeypatch.setattr(cadence, "EVALUATIONS", 4)
    plan = Cadence(small(), steps, 10, 1_000_000, 0, steady=False)
    due = [step for step in range(1, 1_001) if plan.evaluates(step)]
    numbers = range(1, 101)
    assert due == [10 * n for n in numbers if steps is not None or kept(n, 4)]
    for start in range(1_000):
        stop = start + plan.room(start)
        assert stop == min((step for step in due if step > start), default=stop)


def test_it_looks_once_per_epoch_and_not_too_often():
    def apart(task) -> int:
        return Cadence(task, None, None, None, 0, steady=False).eval_every

    x, y = np.zeros((64_000, 1), np.float32), np.zeros(64_000, np.int32)
    assert apart(small()) == 200
    assert apart(small(train=(x, y))) == 4_000
    assert apart(small(val=(x, y))) == 12_000  # training has to take most of the time


@pytest.mark.slow
def test_checkpoints_come_with_the_clock_and_the_disk_does_not_fill(tmp_path, monkeypatch):
    monkeypatch.setattr(cadence, "SECONDS", 0.2)
    run = endless(out=tmp_path, minutes=1.5 / 60)
    assert 0 < len(list((tmp_path / "checkpoints").glob("*.json"))) <= 2
    assert checkpoint_steps(tmp_path / "checkpoints")[-1] == run.steps
    assert len(checkpoint_steps(tmp_path / "checkpoints")) == 2  # one was written on the way
    assert 1 <= len(checkpoint_steps(tmp_path / "best")) <= 2


def test_minutes_end_a_run_well_and_with_a_last_look():
    run = endless(minutes=0.3 / 60)
    assert (run.interrupted, run.signal) == (False, "")
    assert run.stopped == "its 0.005 minutes are over"
    assert "(stopped, as its 0.005 minutes are over)" in str(run)
    assert run.history.steps("val_loss")[-1] == run.steps
    soon = jr.fit(small(), 3, minutes=60, progress=False)
    assert (soon.steps, soon.stopped) == (3, "")


def test_the_number_of_traces_does_not_grow_with_the_run(thin_early):
    traces: list[int] = []

    def apply(params, state, inputs, *, key=None, train=False):
        traces.append(int(train))
        return model.apply(params, state, inputs, key=key, train=train)

    model = plain()
    task = small(model=dataclasses.replace(model, apply=apply))
    counts = []
    for minutes in (1e-6, 1.5 / 60):
        traces.clear()
        run = endless(task, minutes=minutes)
        counts.append((sum(traces), len(traces)))
    assert run.steps > 100
    assert counts[0] == counts[1]


def test_a_plateau_is_told_in_the_history_and_on_standard_error(capfd):
    still = small(optimizer=optax.sgd(0.0))
    run = endless(still, eval_every=2, progress=None, loggers=pressing(signal.SIGINT, 80))
    told = plateaus_in(run.history)
    assert [(step, plateau.waited) for step, plateau in told][:2] == [(40, 20), (80, 40)]
    lines = capfd.readouterr().err.splitlines()
    assert [f"small: {plateau}" for _, plateau in told] == lines
    moving = jr.fit(still, 100, eval_every=2, progress=None)
    assert plateaus_in(moving.history) == []  # a run with an end is watched by who set it
    assert capfd.readouterr().err == ""


@pytest.mark.exhaustive
@pytest.mark.slow
def test_patience_ends_it_too():
    run = endless(small(optimizer=optax.sgd(0.0)), eval_every=2, patience=5)
    assert run.steps == 10
    assert run.stopped.endswith("in 5 evaluations since step 0")


@pytest.mark.parametrize("at", [2**31 - 2, 2**32 - 2])
def test_steps_may_outgrow_their_counter(at):
    """The int32 of the state begins anew at its least; rows and draws go on."""
    wrapped = (at + 2**31) % 2**32 - 2**31
    state = jr.train.reference_trainer(NOISY).init(jax.random.key(0))
    state = dataclasses.replace(state, step=jnp.int32(wrapped))
    chunk = own_chunk(NOISY, state, 0, make_layout("jit", None, False, 16), 1)
    after, rows = chunk(state, at, 4)
    assert int(after.step) == (at + 4 + 2**31) % 2**32 - 2**31
    assert np.isfinite(rows["loss"]).all()
    seen = []

    def step(state, batch, key):
        seen.append(tuple(jax.random.key_data(key).tolist()))
        return state, float(batch.inputs.sum())

    foreign = small(
        model=None, trainer=jr.Trainer(lambda key: jnp.zeros(1), step, lambda s, x: x, lambda s: s)
    )
    _, rows = foreign_chunk(foreign, 0)(jnp.zeros(1), at, 4)
    assert len(set(seen)) == 4
    taken = foreign.train.take(batch_rows(60, 16, 0, at, 4).reshape(-1))[0].reshape(4, -1).sum(1)
    np.testing.assert_allclose(rows["loss"], taken, rtol=1e-4)


def test_what_counts_updates_by_itself_outgrows_its_counter_too():
    tx = optax.chain(jr.regularize.gradient_noise(0.01), jr.train.ema(0.9))
    params = {"w": jnp.ones(3)}
    noise_state, average = tx.init(params)
    last = jnp.int32(2**31 - 1)
    state = (noise_state._replace(count=last), average._replace(count=last))
    for _ in range(3):
        updates, state = tx.update(params, state, params)
        assert np.isfinite(updates["w"]).all()
        np.testing.assert_allclose(updates["w"], 1.0, atol=1e-2)  # the noise has faded
    assert int(state[1].count) == 2**31 - 1
    assert np.isfinite(jr.train.averaged(state, params)["w"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"minutes": 0}, "fit needs minutes as a number > 0, got 0; None sets no limit"),
        ({"minutes": float("inf")}, "fit needs minutes as a number > 0, got inf"),
        ({"minutes": True}, "fit needs minutes as a number > 0, got True"),
        ({"cooldown": 5}, "fit got cooldown=5 with steps=None"),
        ({"save_every": 0}, "fit needs save_every as an integer >= 1, got 0"),
    ],
)
def test_bad_options_say_what_to_do(options, message):
    with pytest.raises(jr.TaskError, match=message):
        endless(**options)
