"""What is running now: a line that changes on a terminal, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

import click

_HAS_A_BAR = ("The final run", "Train ")  # `fit` draws a bar of its own during these


class Say:
    """Shows one line of text as each part begins.

    Attributes:
      briefly: `(text)`, shows it on a terminal only, where the next line takes its place.
    """

    def __init__(self, show: Callable[[str], None], briefly: Callable[[str], None]):
        self._show = show
        self.briefly = briefly

    def __call__(self, text: str) -> None:
        """Shows `text`."""
        self._show(text)


@contextlib.contextmanager
def saying(quiet: bool) -> Iterator[Say]:
    """Shows on standard error what is running.

    Args:
      quiet: show nothing.

    Yields:
      A function that is called with one line as each part begins.
    """
    if quiet or not sys.stderr.isatty():
        silent = lambda text: None  # noqa: E731
        yield Say(silent if quiet else lambda text: click.echo(text, err=True), silent)
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
        yield Say(say, say)
    finally:
        status.stop()
