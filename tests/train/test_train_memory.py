"""Kept memory is not faulted in again, in a process of its own; without the call it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jrecipe.train import memory
from jrecipe.train.memory import keep_memory

PROGRAM = """
import ctypes, resource, sys
sys.path.append({folder!r})
import memory
kept = {keep} and memory.keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 64 * 2**20
faults = []
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(SIZE)
    for at in range(0, SIZE, 4096):
        ctypes.memset(block + at, 1, 1)
    libc.free(block)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(kept, max(faults[1:]))
"""


def faults(keep: bool) -> tuple[bool, int]:
    """Returns whether memory was kept, and the page faults of touching 64 MiB once more."""
    folder = Path(memory.__file__).parent  # alone: the package's own memory would be counted too
    code = PROGRAM.format(folder=str(folder), keep=keep)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kept, count = run.stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_kept_memory_is_touched_again_without_faults():
    kept, count = faults(keep=True)
    if not kept:
        pytest.skip("the C library cannot be asked to keep memory")
    assert count < 100
    assert faults(keep=False)[1] > 1_000


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_memory()
