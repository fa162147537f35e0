"""A progress bar with an estimate of the time left on a terminal, and silence in a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping

Advance = Callable[[int, Mapping[str, float]], None]  # (step, the newest numbers)


@contextlib.contextmanager
def progress_bar(title: str, total: int, show: bool | None = None) -> Iterator[Advance]:
    """Shows how far a run is, on standard error.

    Args:
      title: what is running.
      total: number of steps.
      show: True or False; None shows it if standard error is a terminal.

    Yields:
      A function `(step, numbers)` that moves the bar to `step`.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda step, numbers: None
        return
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[numbers]}", markup=False),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(Text(title).plain, total=total, numbers="")

        def advance(step: int, numbers: Mapping[str, float]) -> None:
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            bar.update(row, completed=step, numbers=text)

        yield advance
