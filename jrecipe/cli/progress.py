"""What is running now: a line that changes on a terminal, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

Say = Callable[[str], None]
_HAS_A_BAR = ("The final run", "Train")  # `fit` draws a bar of its own during these


@contextlib.contextmanager
def saying(quiet: bool) -> Iterator[Say]:
    """Shows on standard error what is running.

    Args:
      quiet: show nothing.

    Yields:
      A function that is called with one line as each part begins.
    """
    if quiet:
        yield lambda text: None
        return
    if not sys.stderr.isatty():
        yield lambda text: click.echo(text, err=True)
        return
    from rich.console import Console
    from rich.text import Text

    status = Console(stderr=True).status("")

    def say(text: str) -> None:
        status.update(Text(text))
        if text.startswith(_HAS_A_BAR):
            status.stop()
        else:
            status.start()

    try:
        yield say
    finally:
        status.stop()
