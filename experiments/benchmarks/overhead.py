"""What does `jr.fit` cost beside the least that can be written, and what saving and looking?

Question: time per update of `jr.fit` and of a hand-written scan of the same updates (MLP), and of a
run that saves every 100 updates with the monitor on and one that does neither (an MLP with large
checkpoints and short updates, a ConvNet). In turns, in one process, compilation aside.

Command: python experiments/benchmarks/overhead.py --rounds 7
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from contest import Run, contest, ratios, rows, save
from small_mlp import data, with_bare_scan, with_jrecipe
from tasks import task_of

import jrecipe as jr
from jrecipe.models import MLP, ConvNet

WANTED = {
    "bare JAX scan": 0.97,
    "no saving, no monitor: MLP 64-1024-1024-10": 0.95,
    "no saving, no monitor: ConvNet": 0.95,
}


def wide_mlp() -> jr.Task:
    """Returns a task whose checkpoints are large beside its updates: 14 MB and 6 ms."""
    x, y = data()
    return task_of(MLP(10, width=1024), x, y, 256)


def convnet() -> jr.Task:
    """Returns a task whose checkpoints are small beside its updates: 3 MB and 100 ms."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2_000, 32, 32, 3)).astype(np.float32)
    return task_of(ConvNet(10), x, rng.integers(0, 10, len(x)).astype(np.int32), 128)


def saving(task: jr.Task, updates: int, on: bool) -> Run:
    """Returns a run that saves every 100 updates and is looked at, or neither."""

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            more = {"out": folder, "save_every": 100, "monitor": True} if on else {}
            fit = jr.fit(task, updates, eval_every=updates, progress=False, **more)
        return (fit.seconds - fit.compile_seconds) / updates

    return run


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="file for the ratios")
    given = parser.parse_args()
    x, y = data()
    entries = {"`jr.fit`": with_jrecipe(x, y), "bare JAX scan": with_bare_scan(x, y)}
    print("MLP 64-128-128-10, batches of 32\n")
    seconds = contest(entries, given.rounds)
    print("\n".join(rows(seconds, "`jr.fit`")))
    found = ratios(seconds, "`jr.fit`")
    on = "saves every 100 updates, monitor on"
    for title, task, updates in (
        ("MLP 64-1024-1024-10, batches of 256", wide_mlp(), 3_000),
        ("ConvNet, 32x32 pictures, batches of 128", convnet(), 300),
    ):
        entries = {on: saving(task, updates, True), "neither": saving(task, updates, False)}
        print(f"\n{title}\n")
        seconds = contest(entries, given.rounds)
        print("\n".join(rows(seconds, on)))
        found[f"no saving, no monitor: {title.split(',')[0]}"] = ratios(seconds, on)["neither"]
    if given.json is not None:
        save(given.json, "jr.fit beside runs that do less", found, WANTED)


if __name__ == "__main__":
    main()
