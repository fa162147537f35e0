"""A real Ctrl-C: the run stops at the end of its chunk, saved, and goes on as if nothing was."""

from __future__ import annotations

import os
import signal
import threading

import jax.numpy as jnp
import pytest
from small_tasks import Remote, assert_identical, pictures, small

import jrecipe as jr
from jrecipe.train import checkpoint_steps
from jrecipe.train.interrupt import on_interrupt
from jrecipe.train.seeds import fit_seeds

pytestmark = pytest.mark.thin(2)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def counting_trainer(press_at=None, number=signal.SIGINT) -> jr.Trainer:
    """Returns a trainer that counts, and gets a signal in one of its steps."""

    def step(state, batch, key):
        if state["count"] == press_at:
            os.kill(os.getpid(), number)
        return {"count": state["count"] + 1, "sum": state["sum"] + batch.inputs.sum()}, {
            "loss": 1.0
        }

    return jr.Trainer(
        init=lambda key: {"count": jnp.int32(0), "sum": jnp.float32(0)},
        step=step,
        predict=lambda state, inputs: jnp.zeros((len(inputs), 4)),
        params=lambda state: state["sum"],
    )


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_foreign_run_stops_saves_and_resumes_between_evaluations(tmp_path, number):
    before = signal.getsignal(number)
    task = small(model=None, trainer=counting_trainer())
    options = {"steps": 1_200, "eval_every": 1_000, "progress": False}
    run = jr.fit(task.replace(trainer=counting_trainer(40, number)), out=tmp_path, **options)
    assert run.interrupted
    assert run.signal == number.name
    assert signal.getsignal(number) is before
    assert not run.problem
    assert 40 < run.steps < 1_000
    assert checkpoint_steps(tmp_path / "checkpoints") == [run.steps]
    resumed, whole = jr.fit(task, out=tmp_path, resume=True, **options), jr.fit(task, **options)
    assert not resumed.interrupted
    assert_identical(resumed.state, whole.state)
    assert resumed.history.rows == whole.history.rows


@pytest.mark.slow
def test_a_run_of_the_reference_trainer_stops_and_resumes(tmp_path):
    class Pressing(Remote):
        """Presses Ctrl-C at the third batch."""

        reads = 0

        def take(self, rows):
            self.reads += len(rows) == 16
            if self.reads == 3:
                press_ctrl_c()
            return super().take(rows)

    task = small(train=Pressing(*pictures(60, 1)))
    run = jr.fit(task, 8, eval_every=4, out=tmp_path, progress=False)
    assert run.interrupted
    assert run.steps == 4
    calm = task.replace(train=Remote(*pictures(60, 1)))
    resumed = jr.fit(calm, 8, eval_every=4, out=tmp_path, resume=True, progress=False)
    assert_identical(resumed.state, jr.fit(calm, 8, eval_every=4, progress=False).state)


def test_the_second_ctrl_c_interrupts_at_once_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGINT)
    with on_interrupt() as asked:
        assert not asked()
        press_ctrl_c()
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_without_signals_goes_on_as_before():
    answers = []

    def work():
        with on_interrupt() as asked:
            answers.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [""]


def test_several_seeds_stop_at_ctrl_c_instead_of_going_on_with_the_next():
    task = small(model=None, trainer=counting_trainer(1))
    with pytest.raises(KeyboardInterrupt):
        fit_seeds(task, 4, (0, 1), looks=2)


def test_ctrl_c_in_the_last_updates_is_told_and_ends_what_trains_several():
    task = small(model=None, trainer=counting_trainer(9))
    run = jr.fit(task, 10, progress=False)
    assert (run.steps, run.interrupted, run.signal) == (10, False, "SIGINT")
    with pytest.raises(KeyboardInterrupt):
        fit_seeds(task, 10, (0, 1))
    quiet = jr.fit(small(model=None, trainer=counting_trainer()), 10, progress=False)
    assert (quiet.steps, quiet.interrupted, quiet.signal) == (10, False, "")
