"""A run survives being killed, damaged files and a full disk; its bits are those of a quiet run."""

from __future__ import annotations

import errno
import gc
import os
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import optax
import pytest
from small_tasks import assert_identical, noise, plain, small

import jrecipe as jr
from jrecipe.train import checkpoint_steps, ema, saver

pytestmark = pytest.mark.thin(3)

TASK = small(
    model=plain(dropout=0.3, norm=True),
    augment=noise,
    optimizer=optax.chain(optax.adam(1e-2), ema(0.9)),
)
OPTIONS = {"eval_every": 8, "save_every": 4, "progress": False}


@pytest.fixture(scope="module")
def whole():
    return jr.fit(TASK, 24, **OPTIONS)


def assert_same_run(got: jr.Fit, want: jr.Fit) -> None:
    assert_identical((got.state, got.best), (want.state, want.best))
    assert got.best_step == want.best_step
    assert got.history.rows == want.history.rows


@pytest.mark.exhaustive
@pytest.mark.slow
def test_checkpoints_come_when_asked_and_the_newest_are_kept(tmp_path, whole):
    run = jr.fit(TASK, 24, out=tmp_path, **OPTIONS)
    assert_same_run(run, whole)  # saving changes nothing
    assert checkpoint_steps(tmp_path / "checkpoints") == [20, 24]
    assert run.best_step in checkpoint_steps(tmp_path / "best")
    assert not list(tmp_path.rglob("*.removed"))
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert len(lines) == len(run.history.rows)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_are_kept_as_asked(tmp_path, keep):
    jr.fit(TASK, 24, out=tmp_path, keep=keep, **OPTIONS)
    assert checkpoint_steps(tmp_path / "checkpoints") == [24, 20, 16][:keep][::-1]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


# orbax drops what it was about to read when one file fails.
@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("harm", [truncate, flip, Path.unlink], ids=["cut", "flipped", "gone"])
def test_every_file_of_the_newest_checkpoint_may_be_damaged(tmp_path, whole, harm):
    """Whichever it is, the run ends with the right bits: from the one before, and saying so."""
    said = 0
    made = tmp_path / "made"
    jr.fit(TASK, 16, out=made, **OPTIONS)
    for i in range(len(files_of(made / "checkpoints" / "16"))):
        folder = tmp_path / f"{harm.__name__}{i}"
        subprocess.run(["cp", "-r", str(made), str(folder)], check=True)
        harm(files_of(folder / "checkpoints" / "16")[i])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rest = jr.fit(TASK, 24, out=folder, resume=True, **OPTIONS)
        assert_same_run(rest, whole)
        texts = [str(w.message) for w in caught if "goes on from the one before" in str(w.message)]
        said += bool(texts)
        assert bool(texts) == (folder / "checkpoints" / "16.damaged").exists()
    assert said == len(files_of(made / "checkpoints" / "16"))
    gc.collect()  # a read that was dropped half-way would complain here


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_value_that_changed_on_disk_is_noticed(tmp_path, whole):
    """Also where the files are whole ones: those of another run."""
    jr.fit(TASK, 16, out=tmp_path, **OPTIONS)
    jr.fit(TASK, 16, seed=1, out=tmp_path / "other", **OPTIONS)
    newest = tmp_path / "checkpoints" / "16"
    newest.rename(tmp_path / "gone")
    (tmp_path / "other" / "checkpoints" / "16").rename(newest)
    with pytest.warns(RuntimeWarning, match="is gone|not as it was written"):
        rest = jr.fit(TASK, 24, out=tmp_path, resume=True, **OPTIONS)
    assert_same_run(rest, whole)


@pytest.mark.slow
def test_another_task_is_refused_and_nothing_is_set_aside(tmp_path):
    jr.fit(TASK, 8, out=tmp_path, **OPTIONS)
    other = TASK.replace(optimizer=optax.sgd(0.1))
    with pytest.raises(jr.TaskError, match="does not fit this model"):
        jr.fit(other, 16, out=tmp_path, resume=True, **OPTIONS)
    assert checkpoint_steps(tmp_path / "checkpoints") == [4, 8]
    gc.collect()  # a read that was dropped half-way would complain here


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_damaged_best_state_is_named_and_found_anew(tmp_path):
    run = jr.fit(TASK, 16, out=tmp_path, **OPTIONS)
    for path in files_of(tmp_path / "best" / str(run.best_step)):
        path.unlink()
    with pytest.warns(RuntimeWarning, match="damaged"):
        rest = jr.fit(TASK, 24, out=tmp_path, resume=True, **OPTIONS)
    assert rest.best_step in (16, 24)


@pytest.mark.slow
def test_training_goes_on_while_the_disk_is_full(tmp_path, whole, monkeypatch):
    room, calls = saver.save_checkpoint, []

    def full(folder, step, state):
        calls.append(step)
        if len(calls) in (3, 4):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
        return room(folder, step, state)

    monkeypatch.setattr(saver, "save_checkpoint", full)
    with pytest.warns(RuntimeWarning, match="No space left") as caught:
        run = jr.fit(TASK, 24, out=tmp_path, **OPTIONS)
    assert len([w for w in caught if "No space left" in str(w.message)]) == 1  # said once
    assert_same_run(run, whole)
    assert checkpoint_steps(tmp_path / "checkpoints")[-1] == 24
    resumed = jr.fit(TASK, 24, out=tmp_path, resume=True, **OPTIONS)
    assert_same_run(resumed, whole)


@pytest.mark.slow
def test_a_disk_that_stays_full_does_not_cost_the_result(tmp_path, whole, monkeypatch):
    def full(folder, step, state):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    monkeypatch.setattr(saver, "save_checkpoint", full)
    with pytest.warns(RuntimeWarning, match="there is none yet"):
        run = jr.fit(TASK, 24, out=tmp_path, **OPTIONS)
    assert "No space left" in run.unsaved
    assert_same_run(run, whole)


CHILD = """
import sys
sys.path.insert(0, "tests")
sys.path.insert(0, "tests/train")
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)
import jrecipe as jr
import test_train_saver as t
print("ready", flush=True)
options = {**t.OPTIONS, "eval_every": 40, "save_every": 10}
run = jr.fit(t.TASK, int(sys.argv[2]), out=sys.argv[1], resume=True, **options)
print("done", run.steps, flush=True)
"""


def killed_again_and_again(folder: Path, steps: int, kills: int, rng: random.Random) -> int:
    """Runs a training in processes that are killed at random moments, until it ends or is left to.

    Returns how many were killed: fewer than `kills` if it came to its end before.
    """
    killed = 0
    while True:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(folder), str(steps)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "JAX_PLATFORMS": "cpu",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "programs"),
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            },
        )
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        if killed < kills:
            time.sleep(rng.uniform(0.0, 4.0))
            if child.poll() is None:
                child.kill()
                child.communicate()
                killed += 1
                continue
        out, error = child.communicate(timeout=600)
        assert child.returncode == 0, error
        assert out == f"done {steps}\n"
        return killed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "kills"), [(400, 3), pytest.param(3000, 50, marks=pytest.mark.exhaustive)]
)
def test_a_run_that_is_killed_again_and_again_ends_with_the_bits_of_a_quiet_one(
    tmp_path, steps, kills
):
    """As many runs as it takes to kill so often, for how far one comes depends on the machine."""
    options = {**OPTIONS, "eval_every": 40, "save_every": 10}
    quiet = jr.fit(TASK, steps, **options)
    rng, killed, runs = random.Random(steps), 0, 0
    while killed < kills:
        folder = tmp_path / f"run{runs}"
        killed += killed_again_and_again(folder, steps, kills - killed, rng)
        runs += 1
        assert runs <= kills
        last = jr.fit(TASK, steps, out=folder, resume=True, **options)
        assert_identical((last.state, last.best), (quiet.state, quiet.best))
        assert last.history.rows == quiet.history.rows
    assert np.isfinite(last.history["loss"]).all()
