"""A group of commands that are imported when they run, with errors as one line each."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click

from jrecipe.cli.compile_cache import keep_programs
from jrecipe.cli.ctrl_c import listen
from jrecipe.cli.stop import BAD_INPUT, INTERRUPTED, StopError, os_stop, say_stop
from jrecipe.types import TaskError


class Lazy(NamedTuple):
    """A command that is not imported yet.

    Attributes:
      where: "module:function" of its `click.Command`.
      summary: its line in the help of the group.
    """

    where: str
    summary: str


class LazyGroup(click.Group):
    """Commands by name; `--help` imports none of them, and no bad input gives a traceback.

    A command returns its exit code. `context.obj` holds the arguments of the whole command line.
    """

    def __init__(self, table: Mapping[str, Lazy], **settings: Any):
        super().__init__(**settings)
        self.table = dict(table)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command."""
        if cmd_name not in self.table:
            return None
        module, name = self.table[cmd_name].where.split(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that is asked for, or says which one was meant."""
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            close = difflib.get_close_matches(name, self.table, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.table)}"
            raise click.UsageError(f"There is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; Ctrl-C that it did not foresee becomes a `StopError`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StopError("nothing was written.", INTERRUPTED) from None

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> int:
        """Runs the command line and, unless `standalone_mode` is off, exits with its code."""
        arguments = tuple(sys.argv[1:] if args is None else args)
        if standalone_mode:
            listen()
            keep_programs(os.environ)
        code = self._run(arguments, extra)
        if standalone_mode and code == INTERRUPTED:
            # Computations may still run in threads of XLA, and it can crash if Python ends first.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        if standalone_mode:
            sys.exit(code)
        return code

    def _run(self, arguments: tuple[str, ...], extra: dict[str, Any]) -> int:
        extra = {**extra, "prog_name": "jrecipe", "standalone_mode": False, "obj": arguments}
        try:
            code = super().main(list(arguments), **extra)
            sys.stdout.flush()
            return int(code or 0)
        except (StopError, TaskError, click.ClickException, OSError) as error:
            if "--traceback" in arguments:
                traceback.print_exception(error)
            stop = _as_stop(error)
            say_stop(stop)
            return stop.code


def _as_stop(error: Exception) -> StopError:
    if isinstance(error, StopError):
        return error
    if isinstance(error, OSError):
        return os_stop(error)
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "jrecipe"
        said = error.format_message().rstrip(".")
        see = f" See '{path} --help'." if said.endswith("?") else f"; see '{path} --help'."
        return StopError(said + see, BAD_INPUT)
    return StopError(str(error), BAD_INPUT)
