"""Ctrl-C as a request: finish the chunk that is running, save, and say how to go on."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a flag; a second one interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing changes.

    Yields:
      A function that tells whether Ctrl-C was pressed.
    """
    asked = False
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        # None stands for a handler that was not set from Python; it cannot be put back.
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)
