"""How does the cost of training grow?

Question: time per update, time to compile and peak memory as one quantity grows and the others stay
as they are. Each point in a process of its own, the points of an axis in turns, in both directions
by turns; medians over the rounds. A process trains a few updates first, which gives the compilation
and the memory, and then as many as take about `--seconds`, compilation aside, which give the time.

The network is an MLP 64-256-256-10 with Adam on batches of 64 out of 10000 rows in memory, where
nothing else is said. Virtual devices share the batches of a small ConvNet. Seeds train together in
one program, and an update is one of each.

Command: python experiments/benchmarks/growth.py --rounds 3 --json growth.json
Hardware and results: docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from contest import readable

if TYPE_CHECKING:
    import jrecipe as jr

# Nothing above imports JAX: the peak memory of a child begins at what its parent holds.

FEATURES, CLASSES = 64, 10
FEW = 20  # updates of the first run


class Took(NamedTuple):
    """Time of one training."""

    compiling: float  # seconds
    training: float  # the other seconds


Training = Callable[[int], Took]  # trains so many updates, from the start


class Point(NamedTuple):
    """What one process, or the median of several, found at one value of an axis."""

    value: int
    seconds: float  # per update
    compile_seconds: float
    memory: float  # MiB, the peak


@dataclasses.dataclass(frozen=True)
class Axis:
    """What grows.

    Attributes:
      label: what the values count.
      values: in rising order.
      training: `value -> Training`.
    """

    label: str
    values: tuple[int, ...]
    training: Callable[[int], Training]


def random_task(model: Any, shape: tuple[int, ...], rows: int, batch: int) -> jr.Task:
    """Returns a task on random inputs of a shape."""
    import numpy as np
    from tasks import task_of

    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, *shape), np.float32)
    return task_of(model, x, rng.integers(0, CLASSES, rows).astype(np.int32), batch)


def mlp(rows: int = 10_000, batch: int = 64, width: int = 256, depth: int = 2) -> jr.Task:
    from jrecipe.models import MLP

    return random_task(MLP(CLASSES, width=width, depth=depth), (FEATURES,), rows, batch)


def fitting(task: jr.Task, devices: int = 1) -> Training:
    """Returns the training of a task by `jr.fit`."""
    import jrecipe as jr

    def train(updates: int) -> Took:
        fit = jr.fit(task, updates, eval_every=updates, devices=devices, progress=False)
        return Took(fit.compile_seconds, fit.seconds - fit.compile_seconds)

    return train


def on_devices(count: int) -> Training:
    import jax

    from jrecipe.models import ConvNet

    jax.config.update("jax_num_cpu_devices", count)
    return fitting(random_task(ConvNet(CLASSES, width=16, depth=1), (16, 16, 3), 2_000, 128), count)


def from_seeds(count: int) -> Training:
    from jrecipe.train import Clock
    from jrecipe.train.seeds import fit_seeds

    task = mlp()

    def train(updates: int) -> Took:
        with Clock() as clock:
            fit_seeds(task, updates, range(count))
        return Took(clock.compile_seconds, clock.seconds - clock.compile_seconds)

    return train


AXES = {
    "batch": Axis(
        "examples in a batch", (16, 64, 256, 1024), lambda size: fitting(mlp(batch=size))
    ),
    "width": Axis(
        "units in a hidden layer", (64, 256, 1024, 2048), lambda width: fitting(mlp(width=width))
    ),
    "depth": Axis("hidden layers", (1, 2, 4, 8, 16), lambda depth: fitting(mlp(depth=depth))),
    "devices": Axis("virtual devices", (1, 2, 4, 8), on_devices),
    "rows": Axis(
        "rows of the data set", (1_000, 10_000, 100_000), lambda rows: fitting(mlp(rows=rows))
    ),
    "seeds": Axis("seeds at once", (1, 2, 4, 8, 16), from_seeds),
}


def whole_chunks(updates: float) -> int:
    """Rounds down to what one compiled program can repeat: tens up to 100, hundreds from there."""
    return int(max(updates // 10 * 10, 10) if updates < 100 else updates // 100 * 100)


def measure(axis: str, value: int, seconds: float) -> Point:
    """Measures a point in this process; the time from a run of at least half of `seconds`."""
    train = AXES[axis].training(value)
    updates, took = FEW, train(FEW)
    compiling, memory = took.compiling, peak()
    while took.training < seconds / 2:
        updates = whole_chunks(updates * max(2.0, seconds / took.training))
        took = train(updates)
    return Point(value, took.training / updates, compiling, memory)


def peak() -> float:
    """Returns the most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_apart(axis: str, value: int, seconds: float) -> Point:
    """Measures a point in a process of its own."""
    command = [sys.executable, __file__, "--axis", axis]
    command += ["--value", str(value), "--seconds", str(seconds)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return Point(*json.loads(said.splitlines()[-1]))


def along(axis: str, rounds: int, seconds: float) -> list[Point]:
    """Measures the points of an axis in turns, and returns the median of each."""
    values = AXES[axis].values
    found: dict[int, list[Point]] = {value: [] for value in values}
    for i in range(rounds):
        for value in values if i % 2 == 0 else reversed(values):
            found[value].append(measure_apart(axis, value, seconds))
    return [middle(points) for points in found.values()]


def middle(points: Sequence[Point]) -> Point:
    """Returns the median of each number, of points of one value."""
    _, *rest = zip(*points, strict=True)
    return Point(points[0].value, *map(statistics.median, rest))


def exponent(values: Sequence[float], seconds: Sequence[float]) -> float:
    """Returns the x of the power law `seconds ~ value^x` by least squares of the logarithms.

    Example:
      >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
      2.0
    """
    logs = ([math.log(number) for number in numbers] for numbers in (values, seconds))
    return statistics.linear_regression(*logs).slope


def table(label: str, points: Sequence[Point]) -> list[str]:
    """Returns the rows of a table in Markdown, and what they say in one line."""
    lines = [
        f"| {label} | per update | over the first | compiling | peak memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for point in points:
        over = point.seconds / points[0].seconds
        lines.append(
            f"| {point.value} | {readable(point.seconds)} | {over:.2f} "
            f"| {point.compile_seconds:.2f} s | {point.memory:.0f} MiB |"
        )
    values, seconds = [point.value for point in points], [point.seconds for point in points]
    return [*lines, "", f"Time grows as value^{exponent(values, seconds):z.2f}."]


def main() -> None:
    """Prints a table per axis, or, for a child, one line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--axis", choices=[*AXES], help="only this one")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5, help="that one run is to take")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--value", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.value is not None:
        print(json.dumps(measure(given.axis, given.value, given.seconds)))
        return
    found = []
    for name in [given.axis] if given.axis else AXES:
        points, label = along(name, given.rounds, given.seconds), AXES[name].label
        print("\n".join(table(label, points)), end="\n\n", flush=True)
        found.append({"label": label, "points": [point._asdict() for point in points]})
        if given.json is not None:  # each time, so that little is lost if it is stopped
            given.json.write_text(json.dumps({"axes": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
