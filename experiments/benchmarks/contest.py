"""Contestants in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Run = Callable[[], float]  # does its piece of work, returns the seconds per update


class Ratio(NamedTuple):
    """How many times as fast one entry is as another, over the rounds."""

    median: float
    least: float
    most: float


def updating(step: Callable[[Any, Any], Any], state: Any, batch: Any, updates: int) -> Run:
    """Returns a run of updates on one batch.

    Args:
      step: `(state, batch) -> (state, {"loss": a number on a device, ...})`; may donate the state.
      state: before the first update.
      batch: for `step`.
      updates: that one turn makes.
    """
    held = [state]

    def run() -> float:
        start = time.perf_counter()
        for _ in range(updates):
            held[0], metrics = step(held[0], batch)
        float(metrics["loss"])
        return (time.perf_counter() - start) / updates

    return run


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


def ratios(seconds: Mapping[str, Sequence[float]], ours: str) -> dict[str, Ratio]:
    """Returns how many times as fast `ours` is as each other entry, round by round.

    Args:
      seconds: as `contest` returns them.
      ours: the entry that the others are compared with.
    """
    found = {}
    for name, own in seconds.items():
        if name != ours:
            each = [other / us for other, us in zip(own, seconds[ours], strict=True)]
            found[name] = Ratio(statistics.median(each), min(each), max(each))
    return found


def save(
    path: Path, title: str, found: Mapping[str, Ratio], wanted: Mapping[str, float] | None = None
) -> None:
    """Writes ratios as JSON, for plot.py.

    Args:
      path: of the file.
      title: what was contested.
      found: by name of the other entry.
      wanted: ratio that was hoped for, by name, where there is one.
    """
    table = [
        {
            "name": name,
            "ratio": ratio.median,
            "low": ratio.least,
            "high": ratio.most,
            "wanted": (wanted or {}).get(name),
        }
        for name, ratio in found.items()
    ]
    path.write_text(json.dumps({"title": title, "rows": table}, indent=1) + "\n")


def rows(seconds: Mapping[str, Sequence[float]], ours: str) -> list[str]:
    """Returns a table row per entry: median time, and how many times as fast `ours` is.

    Args:
      seconds: as `contest` returns them.
      ours: the entry that the others are compared with, round by round.
    """
    found = ratios(seconds, ours)
    lines = [
        "| contestant | per update | jrecipe is so many times as fast: median (least to most) |",
        "| --- | --- | --- |",
    ]
    for name, own in seconds.items():
        ratio = "{:.2f} ({:.2f} to {:.2f})".format(*found[name]) if name in found else "-"
        lines.append(f"| {name} | {readable(statistics.median(own))} | {ratio} |")
    return lines


def readable(seconds: float) -> str:
    """Returns a time with its unit."""
    return f"{seconds * 1e6:.1f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"
