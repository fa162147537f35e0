"""Ctrl-C that is not lost.

JAX has Python's garbage collector call it back, and Python prints and forgets what is raised in
there, a KeyboardInterrupt too. A Ctrl-C that arrives in that moment is raised a little later.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

_FORGETFUL = "_xla_gc_callback"  # of jax._src.lib
_LATER = 0.05  # seconds


def listen() -> None:
    """Handles SIGINT so that it always interrupts; leaves it alone where it is ignored or taken."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)


def interrupt(number: int, frame: FrameType | None) -> None:
    """Raises KeyboardInterrupt, but not where it would be forgotten."""
    if frame is not None and frame.f_code.co_name == _FORGETFUL:
        again = threading.Timer(_LATER, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        return
    raise KeyboardInterrupt
