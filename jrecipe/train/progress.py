"""A progress bar with an estimate of the time left on a terminal, and no bar in a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple


class Shown(NamedTuple):
    """What shows how far a run is.

    Attributes:
      advance: `(step, numbers)`, moves the bar to `step` and shows the newest numbers.
      say: `(text)`, shows a line that stays: above the bar, or by itself where there is none.
    """

    advance: Callable[[int, Mapping[str, float]], None]
    say: Callable[[str], None]


@contextlib.contextmanager
def progress_bar(title: str, total: int | None, show: bool | None = None) -> Iterator[Shown]:
    """Shows how far a run is, on standard error.

    Args:
      title: what is running.
      total: number of steps; None for a run without an end, whose bar tells the time that it took.
      show: True or False, which shows nothing at all; None shows a bar if standard error is a
        terminal, and lines in any case.
    """
    if not (sys.stderr.isatty() if show is None else show):
        lines = show is None
        yield Shown(
            lambda step, numbers: None,
            lambda text: print(f"{title}: {text}", file=sys.stderr, flush=True) if lines else None,
        )
        return
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    ended = (progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn())
    endless = (progress.TextColumn("{task.completed} updates"), progress.TimeElapsedColumn())
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        *(endless if total is None else ended),
        progress.TextColumn("{task.fields[numbers]}", markup=False),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(Text(title).plain, total=total, numbers="")

        def advance(step: int, numbers: Mapping[str, float]) -> None:
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            bar.update(row, completed=step, numbers=text)

        def say(text: str) -> None:
            bar.console.print(Text(f"{title}: {text}"))

        yield Shown(advance, say)
