"""Contestants in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

Run = Callable[[], float]  # does its piece of work, returns the seconds per update


def contest(entries: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Lets each entry run once to warm up, then all in turn, in both directions by turns.

    Args:
      entries: by name.
      rounds: how often each runs.

    Returns:
      seconds per update of each round, by name.
    """
    names = [*entries]
    for name in names:
        entries[name]()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for i in range(rounds):
        for name in names if i % 2 == 0 else reversed(names):
            seconds[name].append(entries[name]())
    return seconds


def rows(seconds: Mapping[str, Sequence[float]], ours: str) -> list[str]:
    """Returns a table row per entry: median time, and how many times as fast `ours` is.

    Args:
      seconds: as `contest` returns them.
      ours: the entry that the others are compared with, round by round.
    """
    lines = [
        "| contestant | per update | jrecipe is so many times as fast: median (least to most) |",
        "| --- | --- | --- |",
    ]
    for name, own in seconds.items():
        ratios = [other / us for other, us in zip(own, seconds[ours], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(
            f"| {name} | {_readable(statistics.median(own))} | {'-' if name == ours else ratio} |"
        )
    return lines


def _readable(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
