"""Loggers are told every row in order, and can neither stop nor slow a run."""

from __future__ import annotations

import struct
import threading
import time

import pytest
from small_tasks import assert_identical, small

import jrecipe as jr
from jrecipe.train import loggers


def test_every_row_is_told_in_order_from_another_thread():
    told, threads = [], set()

    def log(step, numbers):
        threads.add(threading.current_thread().name)
        told.append({"step": step, **numbers})

    run = jr.fit(small(), 20, loggers=[log])
    assert told == run.history.rows
    assert threads == {"jrecipe-loggers"}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_resumed_run_tells_what_is_new(tmp_path):
    told = []
    jr.fit(small(), 10, out=tmp_path)
    run = jr.fit(
        small(), 20, out=tmp_path, resume=True, loggers=[lambda step, _: told.append(step)]
    )
    assert told == [row["step"] for row in run.history.rows if row["step"] > 10]


@pytest.mark.slow
def test_a_logger_that_fails_is_named_once_and_changes_nothing():
    told = []

    def broken(step, numbers):
        if step >= 3:
            raise ConnectionError("no network")

    quiet = jr.fit(small(), 20)
    with pytest.warns(loggers.LoggerWarning) as caught:
        run = jr.fit(small(), 20, loggers=[broken, lambda step, _: told.append(step)])
    (said,) = [str(w.message) for w in caught]
    assert said.startswith("The logger broken failed at step 3")
    assert "ConnectionError: no network" in said
    assert told == [row["step"] for row in run.history.rows]
    assert_identical(run.state, quiet.state)


def test_a_logger_that_hangs_does_not_hold_the_run(monkeypatch):
    monkeypatch.setattr(loggers, "PATIENCE", 0.2)
    monkeypatch.setattr(loggers, "WAITING", 10)
    free = threading.Event()
    with pytest.warns(loggers.LoggerWarning, match="were not passed on"):
        run = jr.fit(small(), 20, loggers=[lambda step, _: free.wait(60)])
    free.set()
    assert run.steps == 20


def test_what_is_no_function_is_refused():
    with pytest.raises(jr.TaskError, match="loggers has 'tensorboard'"):
        jr.fit(small(), 2, loggers=["tensorboard"])


def records(path):
    """Yields the payloads of a file of TFRecords."""
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        yield data[12 : 12 + length]
        data = data[16 + length :]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_tensorboard_files_hold_the_numbers(tmp_path):
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    run = jr.fit(small(), 10, loggers=[loggers.tensorboard(tmp_path)])
    want = {
        (name, row["step"]): pytest.approx(number, rel=1e-6)
        for row in run.history.rows
        for name, number in row.items()
        if name != "step"
    }
    deadline, found = time.monotonic() + 20, {}
    while found.keys() != want.keys() and time.monotonic() < deadline:
        time.sleep(0.1)
        (path,) = tmp_path.glob("events.*")
        for record in records(path):
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    assert found == want
