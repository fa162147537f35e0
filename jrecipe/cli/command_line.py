"""The exact command, as a line to paste."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path


def command_of(arguments: Sequence[str]) -> str:
    """Returns the command line of `arguments`, quoted for a shell.

    Of a process that `jrecipe launch` started, it is the command that starts all of them.

    Example:
      >>> command_of(["cook", "my data.csv", "--seed", "3"])
      "jrecipe cook 'my data.csv' --seed 3"
    """
    processes = os.environ.get("JRECIPE_PROCESSES")
    launch = ["jrecipe", "launch", "--processes", processes, "--"] if processes else []
    return shlex.join([*launch, "jrecipe", *arguments])


def command_for(arguments: Sequence[str], out: Path, *, resume: bool = False) -> str:
    """Returns the command line with the run's folder spelled out.

    Args:
      arguments: of the command line; an `--out` or `--resume` in them is replaced.
      out: the run's folder.
      resume: whether the command goes on with that run.

    Example:
      >>> command_for(["fit", "digits", "--out=a"], Path("runs/b"), resume=True)
      'jrecipe fit digits --resume --out runs/b'
    """
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--out":
            next(words, None)
        elif word != "--resume" and not word.startswith("--out="):
            kept.append(word)
    return command_of([*kept, *(["--resume"] if resume else []), "--out", str(out)])
