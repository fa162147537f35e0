"""Runs the command in this process or in one of its own, and makes small data for it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jrecipe.cli import main

ROOT = Path(__file__).resolve().parents[2]


class Result(NamedTuple):
    code: int
    out: str
    err: str


def jrecipe(*args: object) -> Result:
    """Runs the command in this process, which is quick: JAX is loaded already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.main([str(arg) for arg in args], standalone_mode=False)
    return Result(code, out.getvalue(), err.getvalue())


def process(*args: object, cwd: Path, before: str = "") -> subprocess.Popen[str]:
    """Starts the command in a process of its own, after running `before` in it."""
    # A shell that runs the tests in the background has children ignore Ctrl-C.
    path = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    path += f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    code = f"{path}\n{before}\nfrom jrecipe.cli import main\nmain()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, args)],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"JAX_COMPILATION_CACHE_DIR": str(_programs()), **os.environ},
    )


@functools.cache
def _programs() -> Path:
    """A folder for compiled programs, so that tests leave none in the home of who runs them."""
    folder = tempfile.mkdtemp(prefix="jrecipe-programs-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def finish(child: subprocess.Popen[str], seconds: float = 120) -> Result:
    """Waits for a process, and ends it if it takes too long."""
    try:
        out, err = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        raise AssertionError(f"not done after {seconds} s: {out} {err}") from None
    return Result(child.returncode, out, err)


def write_classes(path: Path, rows: int = 60) -> Path:
    """A table whose class follows from its numbers."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    lines = [f"{a:.4f},{b:.4f},{'yes' if a > 0 else 'no'}" for a, b in x]
    path.write_text("\n".join(["a,b,label", *lines]) + "\n")
    return path


def write_numbers(path: Path, rows: int = 60) -> Path:
    """A table whose target is around 1000."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 2))
    lines = [f"{a:.4f},{b:.4f},{1000 + 50 * a - 20 * b:.3f}" for a, b in x]
    path.write_text("\n".join(["a,b,price", *lines]) + "\n")
    return path


TASK = """
import flax.linen as nn
import numpy as np
import jrecipe as jr

rng = np.random.default_rng(0)
x = rng.normal(size=(60, 3)).astype(np.float32)
y = (x[:, 0] > 0).astype(np.int32)


def make(**changes):
    fields = dict(
        model=nn.Dense(2), loss=jr.losses.softmax_cross_entropy(), batch_size=16,
        train=(x[:40], y[:40]), val=(x[40:50], y[40:50]), test=(x[50:], y[50:]), name="mine",
    )
    return jr.Task(**(fields | changes))


task = make()
not_a_task = 3
"""


def write_task(path: Path, more: str = "") -> Path:
    path.write_text(TASK + more)
    return path
