"""A request to stop: finish the chunk that is running, save, and say how to go on.

Ctrl-C asks so, and SIGTERM, which clusters send some seconds before they take a machine away.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ASKING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_interrupt() -> Iterator[Callable[[], str]]:
    """Turns the first Ctrl-C or SIGTERM into a flag; a second one interrupts at once.

    Outside the main thread, where Python delivers no signals, nothing changes.

    Yields:
      A function that returns the name of the signal that came, "SIGINT" or "SIGTERM", or "".
    """
    asked = ""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = signal.Signals(number).name

    before = {number: signal.signal(number, handle) for number in _ASKING}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            # None stands for a handler that was not set from Python; it cannot be put back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
