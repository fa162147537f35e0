"""Ctrl-C in a long search: remembered, for libraries swallow a KeyboardInterrupt now and then."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def remembered_ctrl_c() -> Iterator[Callable[[], None]]:
    """Leaves Ctrl-C what it is, and remembers that it came.

    Yields:
      A function that raises KeyboardInterrupt if Ctrl-C was pressed; to be called between trials.
      Outside the main thread, and where SIGINT is ignored, it does nothing.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield lambda: None
        return
    came = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        before(number, frame)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handle)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
