"""`pytest --jrecipe`, run by a real pytest in a folder of its own."""

import os
import subprocess
import sys

import pytest
from test_parametrize import TASK

TASK_FILE = TASK.split("@jr.testing")[0]
PLAIN = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--jrecipe-only", "B3,loss-at-init,B12")


def run(folder, *arguments, inputs="inputs"):
    (folder / "my_task.py").write_text(TASK_FILE.replace("INPUTS", inputs))
    command = [sys.executable, "-m", "pytest", *PLAIN, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_no_test_file_is_needed(tmp_path):
    result = run(tmp_path, "--jrecipe", "my_task.py:task", "-vv")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "my_task.py::task::B4-loss-at-init PASSED" in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_failure_shows_the_evidence_and_the_command(tmp_path):
    result = run(
        tmp_path, "--jrecipe", "my_task.py:task", inputs="inputs - inputs.mean(0, keepdims=True)"
    )
    assert result.returncode == 1
    assert "batch-mixing" in result.stdout
    assert "pairs_mixed = " in result.stdout
    assert "jrecipe check my_task.py:task --only dependencies" in result.stdout
    assert "site-packages" not in result.stdout


@pytest.mark.exhaustive
@pytest.mark.slow
def test_beside_tests_of_ones_own(tmp_path):
    (tmp_path / "test_other.py").write_text("def test_other():\n    pass\n")
    alone = run(tmp_path, "--jrecipe", "my_task.py:task", "--collect-only")
    assert "test_other" not in alone.stdout
    beside = run(tmp_path, "--jrecipe", "my_task.py:task", "--collect-only", "test_other.py")
    assert "test_other" in beside.stdout
    assert "B12-dependencies" in beside.stdout


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("my_task.py", "write FILE.py:TASK"),
        ("nose.py:task", "there is no file nose.py"),
        ("my_task.py:tusk", "did you mean 'my_task.py:task'"),
    ],
    ids=["no-name", "no-file", "typo"],
)
def test_a_wrong_target_is_said_in_one_line(tmp_path, target, said):
    result = run(tmp_path, "--jrecipe", target)
    assert result.returncode != 0
    text = " ".join((result.stdout + result.stderr).replace(str(tmp_path) + "/", "").split())
    assert said in text
    assert "Traceback" not in text


def test_the_plugin_imports_nothing_heavy(tmp_path):
    code = "import sys, jrecipe.testing.plugin; print('jax' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout.strip() == "False"


def test_the_profile_is_derandomised_in_ci(tmp_path):
    code = (
        "import hypothesis, jrecipe as jr; jr.testing.load_profile(max_examples=7)\n"
        "s = hypothesis.settings.default; print(s.deadline, s.derandomize, s.max_examples)"
    )
    for ci, expected in (("true", "None True 7"), ("", "None False 7")):
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "CI": ci},
        )
        assert result.stdout.strip() == expected
