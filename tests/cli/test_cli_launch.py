"""The same command in several processes: started, signalled, and ended together."""

from __future__ import annotations

import re
import signal
import sys
import time

import psutil
import pytest
from cli_runs import finish, jrecipe, process, write_classes

from jrecipe.train import checkpoint_steps


def test_each_process_knows_which_it_is(tmp_path):
    write = "import os, pathlib as p; e = os.environ; p.Path(e['JRECIPE_PROCESS']).write_text("
    write += "e['JRECIPE_PROCESSES'] + ' ' + e['JRECIPE_COORDINATOR'])"
    command = ("launch", "--processes", 3, "--", sys.executable, "-c", write)
    done = finish(process(*command, cwd=tmp_path))
    assert (done.code, done.out, done.err) == (0, "", "")
    said = [(tmp_path / str(index)).read_text() for index in range(3)]
    assert said == said[:1] * 3
    assert re.fullmatch(r"3 localhost:\d+", said[0])


def test_when_one_fails_the_others_are_ended_and_its_code_is_returned(tmp_path, monkeypatch):
    monkeypatch.setattr("jrecipe.cli.launch._PATIENCE", 0.5)
    code = "import os, sys, time; time.sleep(600) if os.environ['JRECIPE_PROCESS'] == '0' else 0;"
    start = time.monotonic()
    done = jrecipe("launch", "--", sys.executable, "-c", f"{code} sys.exit(7)")
    assert done.code == 7
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("jrecipe", "fit", "digits"), "add --join"),
        (("/no/such/program",), "cannot start '/no/such/program'"),
    ],
)
def test_what_cannot_work_is_said_before(command, said):
    done = jrecipe("launch", "--", *command)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.slow
def test_to_join_needs_a_folder_and_others(tmp_path):
    assert "--join needs --out DIR" in jrecipe("fit", "digits", "--join").err
    done = finish(process("fit", "digits", "--join", "--out", "x", cwd=tmp_path))
    assert done.code == 2
    assert "no processes to join" in done.err
    assert not (tmp_path / "x").exists()


@pytest.mark.exhaustive
@pytest.mark.slow
def test_sigterm_to_one_saves_and_ends_all_and_one_process_goes_on(tmp_path):
    write_classes(tmp_path / "t.csv")
    fit = ("fit", "t.csv", "--network", "linear", "--steps", 100_000, "--join", "--out", "two")
    command = ("launch", "--", sys.executable, "-m", "jrecipe", *fit)
    child = process(*command, cwd=tmp_path)
    until = time.monotonic() + 120
    while not checkpoint_steps(tmp_path / "two" / "checkpoints"):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.2)
    second = psutil.Process(child.pid).children()[1]
    second.send_signal(signal.SIGTERM)
    stopped = finish(child)
    assert stopped.code == 143, stopped
    steps = checkpoint_steps(tmp_path / "two" / "checkpoints")[-1]
    assert f"saved after {steps} of 100000 updates" in stopped.err
    assert "go on with: jrecipe launch --processes 2 -- jrecipe fit t.csv" in stopped.err
    more = ("--steps", steps + 30, "--out", "two", "--resume")
    done = finish(process("fit", "t.csv", "--network", "linear", *more, cwd=tmp_path))
    assert done.code == 0, done.err
    assert checkpoint_steps(tmp_path / "two" / "checkpoints")[-1] == steps + 30
