"""How a command ends early: one line on standard error and an exit code."""

from __future__ import annotations

import click

from jrecipe.types import one_line

FAILED, BAD_INPUT = 1, 2
INTERRUPTED, TERMINATED = 130, 143  # 128 and the number of SIGINT, of SIGTERM


class StopError(Exception):
    """Ends a command.

    Attributes:
      message: one line, without "jrecipe: error:" before it.
      code: the exit code.
    """

    def __init__(self, message: str, code: int = BAD_INPUT):
        super().__init__(message)
        self.message = message
        self.code = code


def say_stop(error: StopError) -> None:
    """Prints the line of a `StopError` on standard error."""
    kind = "interrupted" if error.code in (INTERRUPTED, TERMINATED) else "error"
    click.echo(f"jrecipe: {kind}: {one_line(error.message)}", err=True)


def reason(error: OSError) -> str:
    """Returns why something could not be read or written, in words."""
    return one_line(error.strerror or str(error) or type(error).__name__)


def os_stop(error: OSError) -> StopError:
    """Returns the `StopError` for an error of the file system that no command has foreseen."""
    where = f"{error.filename}: " if error.filename else ""
    return StopError(
        f"{where}{reason(error)}; free space or allow the access, or name another folder "
        "with --out."
    )
