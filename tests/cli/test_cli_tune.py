"""`jrecipe tune` as a person runs it: real processes, a page, what is kept when it is stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from cli_runs import process

from jrecipe.tune import read_trials

FILE = textwrap.dedent(
    """
    import numpy as np
    import optax
    import jrecipe as jr

    x = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
    y = (x[:, 0] > 0).astype("int32")
    space = jr.tune.Space({"rate": jr.tune.LogUniform(1e-4, 1e-1), "fixed": 3})

    def make_task(params):
        return jr.Task(
            model=jr.models.Linear(2), loss=jr.losses.softmax_cross_entropy(), train=(x, y),
            val=(x, y), batch_size=32, optimizer=optax.adam(params["rate"]),
        )

    def broken(params):
        raise RuntimeError("no such luck")

    number = 3
    """
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "jrecipe", "tune", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=600,
    )


@pytest.mark.exhaustive
def test_a_file_is_searched_as_a_population_and_goes_on(file, tmp_path):
    out = tmp_path / "run"
    small = ("--steps", 18, "--seeds", 2, "--out", out)
    done = run(f"{file}:make_task", "--trials", 4, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Report:" in done.stdout
    first = read_trials(out / "trials.jsonl")
    assert len(first) == 4
    best = json.loads((out / "best.json").read_text())
    assert set(best["params"]) == {"rate", "fixed"}
    assert len(best["values"]) == 2
    assert "fresh seeds" in (out / "report.html").read_text()
    again = run(f"{file}:make_task", "--trials", 6, "--resume", *small, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    trials = read_trials(out / "trials.jsonl")
    assert trials[:4] == first
    assert sorted(t.number for t in trials) == list(range(6))
    other = run(f"{file}:make_task", "--trials", 6, *small, cwd=tmp_path)
    assert other.returncode == 2
    assert "--resume" in other.stderr


@pytest.mark.slow
def test_optuna_searches_a_file(file, tmp_path):
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    out = tmp_path / "run"
    small = ("--trials", 3, "--steps", 9, "--seeds", 2, "--out", out)
    done = run(file, "--storage", tmp_path / "s.journal", *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(t.number for t in read_trials(out / "trials.jsonl")) == [0, 1, 2]
    assert (tmp_path / "s.journal").exists()


@pytest.mark.thin(6)
@pytest.mark.parametrize(
    ("target", "options", "says"),
    [
        ("{}:broken", ("--trials", 2), "no such luck"),
        ("{}:nothing", (), "has no 'nothing'"),
        ("{}:number", (), "needs a function"),
        ("{}:make_task", ("--network", "mlp"), "--network mlp is for data sets"),
        ("{}:make_task", ("--storage", "nonsense://x"), "cannot be reached"),
        ("nowhere.py:make_task", (), "does not exist"),
    ],
)
def test_bad_input_is_one_line(target, options, says, file, tmp_path):
    if "--storage" in options:
        pytest.importorskip("optuna", reason="needs the extra `tune`")
    done = run(target.format(file), *options, "--out", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert says in done.stderr
    assert done.stderr.strip().count("\n") <= 1
    assert "Traceback" not in done.stderr


@pytest.mark.exhaustive
@pytest.mark.slow
def test_ctrl_c_keeps_what_was_done_and_it_goes_on(file, tmp_path):
    pytest.importorskip("optuna", reason="needs the extra `tune`")
    out = tmp_path / "run"
    words = ("tune", f"{file}:make_task", "--storage", str(tmp_path / "s.journal"), "--out", out)
    words = (*words, "--trials", "2000", "--steps", "9", "--seeds", "2")
    going = process(*words, cwd=tmp_path)
    file_of = out / "trials.jsonl"
    deadline = time.monotonic() + 300
    while not (file_of.exists() and file_of.read_text().count("\n") >= 3):
        assert going.poll() is None, going.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    going.send_signal(signal.SIGINT)
    error = going.communicate(timeout=120)[1]
    assert going.returncode == 130, error
    assert "trials are kept in" in error
    kept = len(read_trials(file_of))
    assert kept >= 3
    command = error.split("go on with: jrecipe ")[1].split()
    command[command.index("2000")] = str(kept + 1)
    done = run(*command[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(read_trials(file_of)) == kept + 1


@pytest.mark.exhaustive
def test_digits_are_tuned_and_better_than_the_defaults(tmp_path):
    done = run(
        *("digits", "--network", "linear", "--trials", 12, "--steps", 180, "--seeds", 3),
        *("--out", tmp_path / "run"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "run" / "best.json").read_text())
    assert "learning_rate" in best["params"]
    assert "the gain is" in (tmp_path / "run" / "report.html").read_text()
