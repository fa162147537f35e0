"""What does the monitor of `jr.fit` cost?

Question: by how much does a run take longer with `monitor=True`, compilation aside? Runs with and
without it alternate in one process, after one of each to warm up; the updates are the same to the
bit.

Command: python experiments/monitor_cost.py --rounds 7
Hardware: 2 cores of an AMD EPYC, JAX 0.10.2, nothing else running.
Result:

| program | updates | seconds without | looks | ratio: median (least to most) |
| --- | --- | --- | --- | --- |
| digits MLP | 100000 | 3.00 | 62 | 1.035 (0.979 to 1.093) |
| digits CNN, BatchNorm, dropout | 9000 | 1.81 | 28 | 1.010 (0.955 to 1.087) |
| character transformer | 15000 | 3.88 | 29 | 1.046 (1.000 to 1.110) |
| sequence tagger | 15000 | 3.48 | 46 | 1.134 (0.967 to 1.369) |
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Callable

from gallery.bases_digits import digits_cnn, digits_mlp
from gallery.bases_sequences import char_lm, tagger

import jrecipe as jr

PROGRAMS: dict[str, tuple[Callable[[int], jr.Task], int]] = {
    "digits MLP": (digits_mlp, 100_000),
    "digits CNN, BatchNorm, dropout": (digits_cnn, 9_000),
    "character transformer": (char_lm, 15_000),
    "sequence tagger": (tagger, 15_000),
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
      seconds: of wall time, compilation aside.
      looks: how often the monitor looked.
    """

    seconds: float
    looks: int


def train(build: Callable[[int], jr.Task], steps: int, monitor: bool) -> Run:
    """Trains once."""
    result = jr.fit(build(0), steps, progress=False, monitor=monitor)
    looks = len(result.monitor.looks) if result.monitor is not None else 0
    return Run(result.seconds - result.compile_seconds, looks)


def main() -> None:
    """Prints one row per program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs of each program")
    rounds = parser.parse_args().rounds
    print("| program | updates | seconds without | looks | ratio: median (least to most) |")
    print("| --- | --- | --- | --- | --- |")
    for name, (build, steps) in PROGRAMS.items():
        pairs = []
        for i in range(rounds + 1):
            first = i % 2 == 0  # which of the two goes first changes from pair to pair
            runs = {flag: train(build, steps, flag) for flag in (first, not first)}
            pairs.append((runs[True], runs[False]))
        ratios = [watched.seconds / plain.seconds for watched, plain in pairs[1:]]
        plain = statistics.median(plain.seconds for _, plain in pairs[1:])
        looks = statistics.median(watched.looks for watched, _ in pairs[1:])
        print(
            f"| {name} | {steps} | {plain:.2f} | {looks:.0f} | {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
