"""Ctrl-C and a full disk, in real processes: nothing is lost, and the way on is printed."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_runs import finish, jrecipe, process, write_classes

from jrecipe.cli.ctrl_c import interrupt
from jrecipe.train import checkpoint_steps

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and limits")


def wait_for(path: Path, child: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)


def said(err: str) -> list[str]:
    """The lines of ours; a machine under load has XLA complain about slow compilation too."""
    assert "Traceback" not in err
    return [line for line in err.splitlines() if line.startswith("jrecipe: ")]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_ctrl_c_saves_and_the_printed_command_goes_on(tmp_path, monkeypatch):
    for patience in (2.0, 6.0, 15.0):  # if it hits before the first step, there is nothing to save
        args = ("fit", "digits", "--network", "linear", "--steps", 100_000, "--out", f"r{patience}")
        child = process(*args, cwd=tmp_path)
        run = tmp_path / f"r{patience}"
        wait_for(run / "run.json", child)
        time.sleep(patience)
        child.send_signal(signal.SIGINT)
        stopped = finish(child)
        assert stopped.code == 130, stopped
        if any(checkpoint_steps(run / "checkpoints")):
            break
    line = stopped.err.splitlines()[-1]
    assert line.startswith("jrecipe: interrupted: saved after ")
    command = line.partition("go on with: ")[2]
    assert command == (
        f"jrecipe fit digits --network linear --steps 100000 --resume --out r{patience}"
    )
    steps = checkpoint_steps(run / "checkpoints")[-1]
    assert 0 < steps < 100_000
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    # The same command goes on; a few more updates are enough to see it.
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("100000", str(steps + 30)))[1:]
    done = jrecipe(*words)
    assert done.code == 0, done.err
    assert checkpoint_steps(run / "checkpoints")[-1] == steps + 30
    assert json.loads((run / "run.json").read_text())["status"] == "done"


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_killed_run_and_a_pre_empted_one_go_on_from_what_was_saved(tmp_path):
    """SIGTERM saves and ends with its own code; after `kill -9` the newest checkpoint is there."""
    table = write_classes(tmp_path / "t.csv")
    args = ("fit", table, "--network", "linear", "--steps", 200_000, "--out", "out")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
        child = process(*args, *(["--resume"] if code < 0 else []), cwd=tmp_path)
        states = tmp_path / "out" / "checkpoints"
        before = set(checkpoint_steps(states))
        deadline = time.monotonic() + 120
        while set(checkpoint_steps(states)) <= before and time.monotonic() < deadline:
            assert child.poll() is None, finish(child)
            time.sleep(0.05)
        child.send_signal(number)
        stopped = finish(child)
        assert stopped.code == code, stopped
        if code == 143:
            assert stopped.err.splitlines()[-1].startswith("jrecipe: interrupted: saved after ")
    newest = checkpoint_steps(states)[-1]
    rest = (*args[:4], "--steps", newest + 10, "--out", "out", "--resume")
    done = finish(process(*rest, cwd=tmp_path))
    assert done.code == 0, done
    assert f"{newest + 10} steps in" in done.out


@pytest.mark.slow
def test_ctrl_c_before_training_says_how_to_repeat(tmp_path):
    child = process("cook", "digits", "--out", "dinner", cwd=tmp_path)
    wait_for(tmp_path / "dinner" / "run.json", child)
    time.sleep(1.0)
    child.send_signal(signal.SIGINT)
    stopped = finish(child)
    assert stopped.code == 130, stopped
    line = stopped.err.splitlines()[-1]
    assert "Traceback" not in stopped.err
    assert line.startswith("jrecipe: interrupted: ")
    assert line.endswith("jrecipe cook digits --resume --out dinner")
    assert json.loads((tmp_path / "dinner" / "run.json").read_text())["status"] == "running"


@pytest.mark.exhaustive
def test_files_that_grow_too_large_lose_nothing(tmp_path):
    table = write_classes(tmp_path / "t.csv")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").write_text("older")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
    args = ("fit", table, "--network", "linear", "--steps", 20, "--out", "out")
    result = finish(process(*args, cwd=tmp_path, before=limit))
    assert result.code == 2, result
    assert "t: 20 steps in" in result.out
    *warned, line = said(result.err)
    assert all(one.startswith("jrecipe: warning: A checkpoint in out") for one in warned)
    assert line.startswith("jrecipe: error: could not write ")
    assert "out/report.html (File too large)" in line
    assert "--resume --out out" in line
    assert (tmp_path / "out" / "report.html").read_text() == "older"
    assert not list((tmp_path / "out").glob(".*.tmp"))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_full_disk_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        table = write_classes(tmp_path / "t.csv")
        args = ("fit", table, "--network", "linear", "--steps", 20)
        result = finish(process(*args, "--out", "disk/out", cwd=tmp_path))
        assert result.code == 2, result
        assert "t: 20 steps in" in result.out
        assert "disk/out" in result.err
        assert "No space left on device" in result.err
        *warned, line = said(result.err)
        assert all(one.startswith("jrecipe: warning: A checkpoint in ") for one in warned)
        command = line.partition("and run: ")[2].partition(" - or ")[0]
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        again = finish(process(*shlex.split(command)[1:], cwd=tmp_path))
        assert again.code == 0, again
        assert (disk / "out" / "report.html").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def test_ctrl_c_in_a_callback_that_forgets_it_comes_again():
    def _xla_gc_callback():
        return sys._getframe()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupt(signal.SIGINT, sys._getframe())
        interrupt(signal.SIGINT, _xla_gc_callback())  # not raised here, but soon
        with pytest.raises(KeyboardInterrupt):
            time.sleep(5)
    finally:
        signal.signal(signal.SIGINT, before)
