"""The kit for users' CI, run by a real pytest in a folder of its own."""

import subprocess
import sys
import textwrap

import pytest

TASK = """
import jax, jax.numpy as jnp, numpy as np, jrecipe as jr
rng = np.random.default_rng(0)
x = rng.normal(size=(120, 6)).astype("float32")
y = (x[:, 0] > 0).astype("int32")

def init(key, inputs):
    return {"w": jnp.zeros((6, 2)), "b": jnp.zeros(2)}, {}

def apply(params, state, inputs, *, key=None, train=False):
    inputs = INPUTS
    return inputs @ params["w"] + params["b"], state

task = jr.Task(model=jr.Model(init, apply), loss=jr.losses.softmax_cross_entropy(),
               train=(x[:80], y[:80]), val=(x[80:], y[80:]), batch_size=16)

@jr.testing.parametrize_with_checks(task, only=["B3", "B4", "B12"])
def test_task(check):
    check()
"""


def run(folder, inputs):
    (folder / "test_mine.py").write_text(textwrap.dedent(TASK).replace("INPUTS", inputs))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_healthy_task_gives_one_passing_test_per_check(tmp_path):
    result = run(tmp_path, "inputs")
    assert result.returncode == 0, result.stdout
    assert "4 passed" in result.stdout  # B3 has two checks


@pytest.mark.slow
def test_a_broken_task_fails_with_the_finding_and_its_evidence(tmp_path):
    result = run(tmp_path, "inputs - inputs.mean(axis=0)")  # mixes the batch
    assert result.returncode == 1
    assert "batch-mixing" in result.stdout or "eval-depends-on-batch" in result.stdout
    assert "B12-dependencies" in result.stdout
