"""Two real processes train one network, and nothing of it is other than with one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from small_tasks import assert_close, small

import jrecipe as jr
from jrecipe.train.processes import agreed, first_process, join_processes

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
sys.path[:0] = {paths}
import jax
import numpy as np
import jrecipe as jr
jr.train.join_processes()
assert jax.process_count() == 2 and len(jax.devices()) == 2
from test_train_processes import STEPS, leaves, noisy
for shard in (False, True):
    run = jr.fit(noisy(), STEPS, shard_params=shard, average=True, progress=False, eval_every=3,
                 out="sharded" if shard else None)
    if jax.process_index() == 0:
        np.savez(f"shard_{{shard}}.npz", *leaves(run))
for wrong in (dict(monitor=True), dict(devices=1), dict(parallel="pmap")):
    try:
        jr.fit(noisy(), STEPS, progress=False, **wrong)
    except jr.TaskError as error:
        assert "2 processes" in str(error), error
    else:
        raise AssertionError(wrong)
"""
STEPS = 15


def noisy() -> jr.Task:
    """Dropout, BatchNorm, augmentation, clipping, an average: all that could depend on a layout."""
    from small_tasks import noise, plain

    # Momentum: behind a norm a bias has no gradient but rounding, which Adam would blow up.
    tx = optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.1, 0.9), jr.train.ema(0.9))
    return small(model=plain(dropout=0.3, norm=True), augment=noise, optimizer=tx)


def leaves(run: jr.Fit) -> list[np.ndarray]:
    """Returns all numbers of a run: its last and best state, and its history."""
    state, best = (jax.tree.map(data_of, x) for x in (run.state, run.best))
    names = ("loss", "grad_norm", "val_loss")
    return [*jax.tree.leaves((state, best)), *(run.history[name] for name in names)]


def data_of(leaf) -> np.ndarray:
    typed = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if typed else leaf)


@pytest.mark.slow
def test_two_processes_equal_one_and_one_goes_on_with_their_checkpoint(tmp_path):
    script = tmp_path / "script.py"
    tests = ROOT / "tests"
    script.write_text(SCRIPT.format(paths=[str(ROOT), str(tests), str(tests / "train")]))
    command = [sys.executable, "-m", "jrecipe", "launch", "--", sys.executable, str(script)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    alone = jr.fit(noisy(), STEPS, average=True, progress=False, eval_every=3)
    for shard in (False, True):
        with np.load(tmp_path / f"shard_{shard}.npz") as stored:
            together = [stored[name] for name in stored]
        assert_close(together, leaves(alone), 1e-4, atol=1e-5)
    further = [
        jr.fit(noisy(), 2 * STEPS, average=True, progress=False, eval_every=3, **more)
        for more in ({"out": tmp_path / "sharded", "resume": True}, {})
    ]
    assert_close(leaves(further[0]), leaves(further[1]), 1e-3, atol=1e-4)


def test_alone_there_is_nobody_to_ask():
    assert first_process()
    assert agreed("SIGTERM") == "SIGTERM"
    assert agreed("") == ""


def test_where_no_others_are_to_be_found_it_says_so(monkeypatch):
    for name in ("COORDINATOR", "PROCESSES", "PROCESS"):
        monkeypatch.delenv(f"JRECIPE_{name}", raising=False)
    with pytest.raises(jr.TaskError, match=r"no processes to join .* `jrecipe launch`"):
        join_processes()
