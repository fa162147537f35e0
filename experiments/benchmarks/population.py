"""How much faster are many small networks trained as one population than one after another?

Question: 64 digits MLPs 64-32-32-10 with learning rates and decays of their own, batches of 32, a
thousand updates each, from nothing to the last validation loss, compilation counted: models a
second of `jr.tune.population` over the cores, of the same step compiled once and run for one model
after another (JAX), and of the fastest eager torch loop (one thread, fused AdamW, rows by index).
Also how that goes with the number of members.

All run in turns in one process; torch trains a few models in each turn, and its time is that of
all. Beside the time on the clock, the time of the processors is told, of all threads together. On a
machine that others use as well the clock says little; then the population's share of the clock on
free cores is its processors' time over their number, as its members need nothing of one another.

Command: python experiments/benchmarks/population.py --rounds 3   (pip install '.[bench]')
Hardware and results: docs/tune.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count()))

import jax
import numpy as np

import jrecipe as jr

WIDTH, SIZE = 32, 32
SPACE = jr.tune.Space(
    {"rate": jr.tune.LogUniform(1e-4, 1e-2), "decay": jr.tune.LogUniform(1e-4, 1e-1)}
)
TORCH_MODELS = 2  # of a turn

_splits = jr.data.load("digits")


def part(source: jr.Source) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = source.take(np.arange(len(source)))
    return np.asarray(inputs, np.float32).reshape(len(inputs), -1), np.asarray(targets, np.int32)


TRAIN, VAL = part(_splits.train), part(_splits.val)


def make_task(params: dict) -> jr.Task:
    return jr.Task(
        model=jr.models.MLP(10, width=WIDTH, depth=2),
        loss=jr.losses.softmax_cross_entropy(),
        train=TRAIN,
        val=VAL,
        batch_size=SIZE,
        optimizer=jr.regularize.adamw(params["rate"], params["decay"]),
    )


def timed(run: Callable[[], None]) -> tuple[float, float]:
    """Returns seconds on the clock, and of the processors."""
    jax.clear_caches()
    clock, processors = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processors


def as_population(count: int, steps: int, devices: int) -> None:
    points = jr.tune.sobol(SPACE, count)
    trials = jr.tune.population(make_task, points, steps=steps, looks=1, devices=devices)
    assert all(trial.state == "done" for trial in trials)


def one_after_another(count: int, steps: int) -> None:
    """The same in JAX: one program, compiled once, called for each model."""
    points = jr.tune.sobol(SPACE, count)
    objective = jr.tune.TaskObjective(make_task, steps, looks=1)
    for params in points:
        objective(params, lambda step, value: None)


def with_torch(steps: int) -> None:
    import torch

    torch.set_num_threads(1)
    inputs, targets = torch.from_numpy(TRAIN[0]), torch.from_numpy(TRAIN[1].astype(np.int64))
    val, labels = torch.from_numpy(VAL[0]), torch.from_numpy(VAL[1].astype(np.int64))
    for params in jr.tune.sobol(SPACE, TORCH_MODELS):
        model = torch.nn.Sequential(
            torch.nn.Linear(64, WIDTH),
            torch.nn.ReLU(),
            torch.nn.Linear(WIDTH, WIDTH),
            torch.nn.ReLU(),
            torch.nn.Linear(WIDTH, 10),
        )
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=params["rate"], weight_decay=params["decay"], fused=True
        )
        done = 0
        while done < steps:
            order = torch.randperm(len(inputs))
            for i in range(0, len(order) - SIZE + 1, SIZE):
                rows = order[i : i + SIZE]
                optimizer.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
                done += 1
                if done == steps:
                    break
        with torch.no_grad():
            float(torch.nn.functional.cross_entropy(model(val), labels))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--members", type=int, nargs="+", default=[64])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    cores = len(jax.devices())
    with_torch(20)  # loads it
    found = []
    for count in args.members:
        contest: dict[str, tuple[float, Callable[[], None]]] = {
            f"population, {cores} cores": (1, lambda k=count: as_population(k, args.steps, cores)),
            "population, 1 core": (1, lambda k=count: as_population(k, args.steps, 1)),
            "JAX one after another": (1, lambda k=count: one_after_another(k, args.steps)),
            "torch one after another": (count / TORCH_MODELS, lambda: with_torch(args.steps)),
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contest}
        for _ in range(args.rounds):
            for name, (times, run) in contest.items():
                clock, processors = timed(run)
                seconds[name].append((times * clock, times * processors))
        first = seconds[f"population, {cores} cores"]
        for name, all_of in seconds.items():
            clock, processors = (
                statistics.median(b[i] / a[i] for a, b in zip(first, all_of, strict=True))
                for i in (0, 1)
            )
            least = min(one[1] for one in all_of)
            print(
                f"| {count} | {name} | {least:.1f} s | {processors:.2f} | {clock:.2f} |", flush=True
            )
            found.append({"members": count, "name": name, "clock and processors": all_of})
    if args.out:
        args.out.write_text(json.dumps({"steps": args.steps, "rows": found}, indent=2))


if __name__ == "__main__":
    main()
