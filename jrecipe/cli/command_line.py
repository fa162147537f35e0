"""The exact command, as a line to paste."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

_ENDINGS = {"--steps": 1, "--forever": 0, "--minutes": 1, "--cooldown": 1}  # words after each


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


def command_for(
    arguments: Sequence[str], out: Path, *, resume: bool = False, ending: Sequence[str] = ()
) -> str:
    """Returns the command line with the run's folder spelled out.

    Args:
      arguments: of the command line; an `--out` or `--resume` in them is replaced.
      out: the run's folder.
      resume: whether the command goes on with that run.
      ending: options of `jrecipe fit` that say when the run ends, instead of those in `arguments`.

    Example:
      >>> command_for(["fit", "digits", "--out=a"], Path("runs/b"), resume=True)
      'jrecipe fit digits --resume --out runs/b'
      >>> command_for(["fit", "a", "--minutes", "5"], Path("b"), ending=["--steps", "9"])
      'jrecipe fit a --steps 9 --out b'
    """
    replaced = {"--out": 1, "--resume": 0, **(_ENDINGS if ending else {})}
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        name, _, value = word.partition("=")
        if name not in replaced:
            kept.append(word)
        elif replaced[name] and not value:
            next(words, None)
    return command_of([*kept, *ending, *(["--resume"] if resume else []), "--out", str(out)])
