"""Telling others how a run goes: TensorBoard, Weights & Biases, or any function.

A logger is a function `(step, {name: number}) -> None`, called from a thread of its own, row by row
in order. It can neither stop a run nor slow it: when it raises it is named once and not called
again, and when it lags too far behind the oldest rows are left out, and counted.
"""

from __future__ import annotations

import collections
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from jrecipe.types import TaskError

Logger = Callable[[int, Mapping[str, float]], object]
WAITING = 100_000  # rows that may wait
PATIENCE = 10.0  # seconds that loggers have at the end of a run


class LoggerWarning(RuntimeWarning):
    """A logger failed or lagged behind; the run is not touched."""


class Loggers:
    """Passes rows on to loggers; a context manager that gives them a last chance at its end.

    Attributes:
      loggers: those that have not failed.
      left_out: rows that were not passed on.
    """

    def __init__(self, loggers: Sequence[Logger]) -> None:
        for logger in loggers:
            if not callable(logger):
                raise TaskError(
                    f"loggers has {logger!r}; it needs functions (step, numbers) -> None, such as "
                    "jr.train.loggers.tensorboard('runs/first')."
                )
        self.loggers, self.left_out = list(loggers), 0
        self._rows: collections.deque[tuple[int, dict[str, float]]] = collections.deque()
        self._failures: collections.deque[str] = collections.deque()
        self._news, self._done = threading.Condition(), False
        self._thread = threading.Thread(target=self._drain, name="jrecipe-loggers", daemon=True)

    def __enter__(self) -> Loggers:
        if self.loggers:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._thread.is_alive():
            return
        with self._news:
            self._done = True
            self._news.notify()
        self._thread.join(PATIENCE)
        self.left_out += len(self._rows)
        self._say_failures()
        if self.left_out:
            warnings.warn(
                f"Loggers lagged behind: {self.left_out} rows were not passed on.",
                LoggerWarning,
                stacklevel=2,
            )

    def add(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Passes rows on, each with its "step"; returns at once."""
        self._say_failures()
        if not self.loggers:
            return
        with self._news:
            for row in rows:
                numbers = {name: float(value) for name, value in row.items() if name != "step"}
                self._rows.append((int(row["step"]), numbers))
            while len(self._rows) > WAITING:
                self._rows.popleft()
                self.left_out += 1
            self._news.notify()

    def _say_failures(self) -> None:
        """Warns of loggers that have failed; not from their thread, where nobody would hear it."""
        while self._failures:
            warnings.warn(self._failures.popleft(), LoggerWarning, stacklevel=3)

    def _drain(self) -> None:
        while True:
            with self._news:
                while not self._rows and not self._done:
                    self._news.wait()
                if not self._rows:
                    break
                step, numbers = self._rows.popleft()
            for logger in tuple(self.loggers):
                self._call(logger, f"at step {step}", logger, step, numbers)
        for logger in tuple(self.loggers):
            if callable(close := getattr(logger, "close", None)):
                self._call(logger, "as it was closed", close)

    def _call(
        self, logger: Logger, when: str, function: Callable[..., object], *args: object
    ) -> None:
        try:
            function(*args)
        except Exception as error:  # whatever a logger raises, the run goes on without it
            self.loggers.remove(logger)
            self._failures.append(
                f"The logger {getattr(logger, '__name__', logger)!s} failed {when} and is not "
                f"called again: {type(error).__name__}: {error}"
            )


def tensorboard(folder: str | Path) -> Logger:
    """Returns a logger that writes TensorBoard event files.

    Args:
      folder: for the files; made if it is not there.

    Raises:
      TaskError: if tensorboardX is not installed (`pip install 'jrecipe[tensorboard]'`).
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise TaskError(
            "loggers.tensorboard needs tensorboardX: pip install 'jrecipe[tensorboard]'."
        ) from error
    return _TensorBoard(SummaryWriter(str(folder), flush_secs=5))


class _TensorBoard:
    """Writes numbers as scalars; closed at the end of a run, and opened anew by the next."""

    __name__ = "tensorboard"

    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def __call__(self, step: int, numbers: Mapping[str, float]) -> None:
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


def wandb(**options: object) -> Logger:
    """Returns a logger for Weights & Biases.

    Args:
      **options: of `wandb.init`, such as `project="digits"`, `mode="offline"`.

    Raises:
      TaskError: if wandb is not installed (`pip install 'jrecipe[wandb]'`).
    """
    try:
        import wandb as library
    except ImportError as error:
        raise TaskError("loggers.wandb needs wandb: pip install 'jrecipe[wandb]'.") from error
    run = library.init(**options)

    def log(step: int, numbers: Mapping[str, float]) -> None:
        run.log(dict(numbers), step=step)

    return log
