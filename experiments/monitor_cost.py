"""What does the monitor of `jr.fit` cost?

Question: by how much does a run take longer with `monitor=True`, compilation aside? "Looking" is
the time of the looks over all other time, within one run. "Ratio" is that of runs with and without
it, which alternate in one process, after one of each to warm up; the updates are the same to the
bit.

Command: python experiments/monitor_cost.py --rounds 5
Hardware: 2 cores of an AMD EPYC, JAX 0.10.2, nothing else running; runs of one program still differ
by a tenth among themselves.
Result:

| program | updates | seconds without | looks | looking | ratio (least to most) |
| --- | --- | --- | --- | --- | --- |
| digits MLP | 100000 | 3.27 | 78 | 2.9% | 0.960 (0.932 to 1.180) |
| digits CNN, BatchNorm, dropout | 9000 | 1.73 | 27 | 2.9% | 1.007 (0.969 to 1.087) |
| character transformer | 15000 | 3.71 | 30 | 2.8% | 1.015 (0.998 to 1.102) |
| sequence tagger | 15000 | 3.40 | 49 | 2.9% | 1.003 (0.951 to 1.359) |
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
      looking: the part of the time that it took.
    """

    seconds: float
    looks: int
    looking: float


def train(build: Callable[[int], jr.Task], steps: int, monitor: bool) -> Run:
    """Trains once."""
    result = jr.fit(build(0), steps, progress=False, monitor=monitor)
    seconds = result.seconds - result.compile_seconds
    if result.monitor is None:
        return Run(seconds, 0, 0.0)
    return Run(seconds, len(result.monitor.looks), result.monitor.seconds)


def main() -> None:
    """Prints one row per program."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs of runs of each program")
    rounds = parser.parse_args().rounds
    print(
        "| program | updates | seconds without | looks | looking | ratio: median (least to most) |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (build, steps) in PROGRAMS.items():
        pairs = []
        for i in range(rounds + 1):
            first = i % 2 == 0  # which of the two goes first changes from pair to pair
            runs = {flag: train(build, steps, flag) for flag in (first, not first)}
            pairs.append((runs[True], runs[False]))
        ratios = [watched.seconds / plain.seconds for watched, plain in pairs[1:]]
        plain = statistics.median(plain.seconds for _, plain in pairs[1:])
        looks = statistics.median(watched.looks for watched, _ in pairs[1:])
        looking = statistics.median(w.looking / (w.seconds - w.looking) for w, _ in pairs[1:])
        ratio = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(
            f"| {name} | {steps} | {plain:.2f} | {looks:.0f} | {looking:.1%} | {ratio} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
