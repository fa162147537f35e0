"""How much faster are many small networks trained as one population than one after another?

Question: 64 digits MLPs 64-32-32-10 with learning rates and decays of their own, batches of 32, a
thousand updates each, from nothing to the last validation loss, compilation counted: models a
second of `jr.tune.population` over the cores, of the same step compiled once and run for one model
after another (JAX), and of the fastest eager torch loop (one thread, fused AdamW, rows by index).
Also how that goes with the number of members.

All run in turns in one process; torch trains a few models in each turn, and its time is that of
all. Results depend on how busy the machine is: two of its cores are what the population is for.

Command: python experiments/benchmarks/population.py --rounds 3   (pip install '.[bench]')
Hardware and results: docs/tune.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
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


def as_population(count: int, steps: int, devices: int) -> float:
    """Returns seconds for `count` models, everything included."""
    jax.clear_caches()
    points = jr.tune.sobol(SPACE, count)
    start = time.perf_counter()
    trials = jr.tune.population(make_task, points, steps=steps, looks=1, devices=devices)
    assert all(trial.state == "done" for trial in trials)
    return time.perf_counter() - start


def one_after_another(count: int, steps: int) -> float:
    """The same in JAX: one program, compiled once, called for each model."""
    jax.clear_caches()
    points = jr.tune.sobol(SPACE, count)
    start = time.perf_counter()
    objective = jr.tune.TaskObjective(make_task, steps, looks=1)
    for params in points:
        objective(params, lambda step, value: None)
    return time.perf_counter() - start


def with_torch(count: int, steps: int) -> float:
    import torch

    torch.set_num_threads(1)
    inputs, targets = torch.from_numpy(TRAIN[0]), torch.from_numpy(TRAIN[1].astype(np.int64))
    val, labels = torch.from_numpy(VAL[0]), torch.from_numpy(VAL[1].astype(np.int64))
    start = time.perf_counter()
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
    return (time.perf_counter() - start) * count / TORCH_MODELS


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--members", type=int, nargs="+", default=[64])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    cores = len(jax.devices())
    found = []
    for count in args.members:
        contest = {
            f"population, {cores} cores": lambda k=count: as_population(k, args.steps, cores),
            "population, 1 core": lambda k=count: as_population(k, args.steps, 1),
            "JAX one after another": lambda k=count: one_after_another(k, args.steps),
            "torch one after another": lambda k=count: with_torch(k, args.steps),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contest}
        for _ in range(args.rounds):
            for name, run in contest.items():
                seconds[name].append(run())
                print(f"{count} models, {name}: {seconds[name][-1]:.1f} s", flush=True)
        first = seconds[f"population, {cores} cores"]
        for name, all_of in seconds.items():
            ratio = statistics.median(b / a for a, b in zip(first, all_of, strict=True))
            best = min(all_of)
            print(
                f"| {count} | {name} | {count / best:.2f} | {ratio:.2f} |",
                flush=True,
            )
            found.append({"members": count, "name": name, "seconds": all_of, "ratio": ratio})
    if args.out:
        args.out.write_text(json.dumps({"steps": args.steps, "rows": found}, indent=2))


if __name__ == "__main__":
    main()
