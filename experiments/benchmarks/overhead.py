"""What does `jr.fit` cost beside the least that can be written, and what saving and looking?

Question: time per update of `jr.fit` and of a hand-written scan of the same updates (MLP), and of a
run that saves every 100 updates with the monitor on and one that does neither. In turns, in one
process, compilation aside.

Command: python experiments/benchmarks/overhead.py --rounds 7
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import optax
from contest import contest, ratios, rows, save
from small_mlp import data, with_bare_scan, with_jrecipe

import jrecipe as jr
from jrecipe.models import MLP

WANTED = {"bare JAX scan": 0.97, "neither saving nor monitor": 0.95}


def saving(width: int, updates: int, on: bool):
    """Returns a run of a wide MLP that saves every 100 updates and is looked at, or neither."""
    x, y = data()
    task = jr.Task(
        model=MLP(10, width=width),
        loss=jr.losses.softmax_cross_entropy(),
        train=(x, y),
        val=(x[:100], y[:100]),
        optimizer=optax.adam(1e-3),
        batch_size=256,
    )

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
    entries = {
        "saves every 100 updates, monitor on": saving(1024, 1_000, True),
        "neither": saving(1024, 1_000, False),
    }
    print("\nMLP 64-1024-1024-10, batches of 256\n")
    seconds = contest(entries, given.rounds)
    print("\n".join(rows(seconds, "saves every 100 updates, monitor on")))
    saved = ratios(seconds, "saves every 100 updates, monitor on")
    found["neither saving nor monitor"] = saved["neither"]
    if given.json is not None:
        save(given.json, "jr.fit beside runs that do less", found, WANTED)


if __name__ == "__main__":
    main()
