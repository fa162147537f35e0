"""Contestants in processes of their own: threads and memory of one do not disturb the next."""

from __future__ import annotations

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence

from contest import Run


class Apart:
    """A contestant whose process answers each line with one line of JSON; see `answer`.

    Attributes:
      parameters: of its network.
      first_seconds: of its first run with all that is compiled in it.
      memory: most memory of its process so far, MiB.
    """

    parameters: int
    first_seconds: float
    memory: float

    def __init__(self, command: Sequence[str]) -> None:
        """Starts the process.

        Args:
          command: a program that calls `answer`.
        """
        self._process = subprocess.Popen(
            [*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self) -> float:
        """Returns seconds per update.

        Raises:
          RuntimeError: if the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # then it does not answer either
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            command = " ".join(map(str, self._process.args))
            raise RuntimeError(f"A contestant ended with code {self._process.wait()}: {command}")
        said = json.loads(line)
        self.parameters, self.memory = said["parameters"], said["memory"]
        self.first_seconds = said["first_seconds"]
        return said["seconds"]

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the process end."""
        self._process.communicate()


def answer(run: Run, parameters: int) -> None:
    """Runs once for each line of the standard input, until it ends.

    Args:
      run: the contestant; whatever it prints goes to the standard error.
      parameters: of its network.
    """
    first_seconds = None
    with contextlib.redirect_stdout(sys.stderr):
        for _ in sys.stdin:
            start = time.perf_counter()
            seconds = run()
            if first_seconds is None:
                first_seconds = time.perf_counter() - start
            said = {
                "seconds": seconds,
                "parameters": parameters,
                "first_seconds": first_seconds,
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            print(json.dumps(said), file=sys.__stdout__, flush=True)
