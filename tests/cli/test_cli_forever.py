"""`jrecipe fit --forever`: real processes, real signals, and the way to an end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time

import pytest
from cli_runs import Result, finish, jrecipe, process, write_classes

from jrecipe.train import History, checkpoint_steps

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


def record_of(folder) -> dict:
    return json.loads((folder / "run.json").read_text())


def report_text(folder) -> str:
    report = json.loads((folder / "report.json").read_text())
    return "\n".join(line for section in report["sections"] for line in section["text"])


@pytest.mark.exhaustive
@pytest.mark.slow
def test_minutes_alone_end_a_run_and_a_cooldown_goes_on_from_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = write_classes(tmp_path / "t.csv")
    args = ("fit", table, "--network", "linear", "--out", "out")
    night = jrecipe(*args, "--minutes", 0.01)
    assert night.code == 0, night.err
    assert "(stopped, as its 0.01 minutes are over)" in night.out
    steps = checkpoint_steps(tmp_path / "out" / "checkpoints")[-1]
    assert record_of(tmp_path / "out") | {"status": "done", "steps": steps} == record_of(
        tmp_path / "out"
    )
    said = report_text(tmp_path / "out").splitlines()[-1]
    assert said.startswith("Let the learning rate fall to 0 to end this run: jrecipe fit ")
    words = shlex.split(said.partition(": ")[2])
    updates = int(words[words.index("--cooldown") + 1])
    assert "--minutes" not in words
    done = jrecipe(*words[1:])
    assert done.code == 0, done.err
    assert f"t: {steps + updates} steps in" in done.out
    assert "--cooldown" not in report_text(tmp_path / "out")  # it has come to its end
    losses = History.load(tmp_path / "out" / "history.jsonl").steps("loss")
    assert losses[-1] == steps + updates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--forever", "--steps", 5), "--forever has no end, but --steps is 5; leave one of them"),
        (
            ("--forever", "--cooldown", 5),
            "--cooldown 5 is the end of a run, and --forever has none; press Ctrl-C when it is "
            "time, then: --resume --cooldown 5.",
        ),
        (("--steps", 5, "--cooldown", 9), "--cooldown 9 is longer than the run, whose --steps are"),
        (("--cooldown", 3_000), "cooldown=3000 with steps=2000; it is the last part"),
        (("--minutes", 0), "0.0 is not in the range x>0.0"),
        (("--resume", "--forever"), "--resume: --out out holds no run"),
    ],
)
def test_what_contradicts_itself_is_refused_and_nothing_is_left(
    tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    table = write_classes(tmp_path / "t.csv")
    result = jrecipe("fit", table, "--network", "linear", "--out", "out", *options)
    assert result.code == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def stopped_by(number: signal.Signals, args, cwd, seconds: float = 120) -> Result:
    """Runs the command until it has saved more than was there, and sends it a signal."""
    states = cwd / "out" / "checkpoints"
    before = set(checkpoint_steps(states))
    child = process(*args, cwd=cwd)
    deadline = time.monotonic() + seconds
    while set(checkpoint_steps(states)) <= before:
        assert child.poll() is None, finish(child)
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(number)
    return finish(child)


@posix
@pytest.mark.slow
def test_ctrl_c_sigterm_and_kill_lose_nothing(tmp_path, monkeypatch):
    table = write_classes(tmp_path / "t.csv")
    args = ("fit", table, "--network", "linear", "--forever", "--save-every", 400, "--out", "out")
    run = tmp_path / "out"
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        going_on = ("--resume",) if run.exists() else ()
        stopped = stopped_by(number, (*args, *going_on), tmp_path)
        assert stopped.code == code, stopped
        assert "Traceback" not in stopped.err
        assert len(checkpoint_steps(run / "checkpoints")) <= 3  # of a killed one, one too many
        assert len(checkpoint_steps(run / "best")) <= 3
        if code < 0:
            assert record_of(run)["status"] == "interrupted"  # as the one before left it
            continue
        assert record_of(run)["status"] == "interrupted"
        steps = record_of(run)["steps"]
        line = stopped.err.splitlines()[-1]
        assert line == (
            f"jrecipe: interrupted: saved after {steps} updates; go on with: jrecipe fit {table} "
            "--network linear --forever --save-every 400 --resume --out out"
        )
        assert (run / "report.html").exists()
    # What came of it is what a run with that many updates has at its end.
    end = steps + 10
    for out, more in (("out", ("--resume",)), ("whole", ())):
        rest = (*args[:4], "--steps", end, "--out", out, *more)
        done = finish(process(*rest, cwd=tmp_path))
        assert done.code == 0, done
    monkeypatch.chdir(tmp_path)
    bits = []
    for out in ("out", "whole"):
        exported = jrecipe("predict", out, table)
        assert exported.code == 0, exported.err
        history = History.load(tmp_path / out / "history.jsonl")
        rows = {row["step"]: row for row in history.rows if "loss" in row}
        bits.append(rows)
    shared = bits[0].keys() & bits[1].keys()
    assert {end, end - 1} <= shared
    assert all(bits[0][step] == bits[1][step] for step in shared)
