"""How long something took, and how much of it was compilation."""

from __future__ import annotations

import time
from types import TracebackType

import jax

# JAX reports each phase once per compiled program: tracing, lowering, and XLA's own compilation.
_PHASES = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Clock:
    """Measures seconds in total and seconds spent compiling while it is open.

    Attributes:
      seconds: wall time, so far or between entering and leaving.
      compile_seconds: the part of it in which JAX traced, lowered and compiled.

    Example:
      >>> with Clock() as clock:
      ...     _ = jax.jit(lambda x: x + 1)(1.0)
      >>> 0.0 < clock.compile_seconds < clock.seconds
      True
    """

    def __init__(self) -> None:
        self._compiling: list[tuple[float, float]] = []
        self._start = time.perf_counter()
        self._stop: float | None = None

    def _listen(self, event: str, duration_secs: float, **_: str | int) -> None:
        if event in _PHASES:  # reported when it ends
            now = time.perf_counter()
            self._compiling.append((now - duration_secs, now))

    @property
    def compile_seconds(self) -> float:
        """Seconds in which some phase of compilation ran; nested phases count once."""
        total, reached = 0.0, self._start
        for start, stop in sorted(self._compiling):
            total += max(0.0, stop - max(start, reached))
            reached = max(reached, stop)
        return total

    @property
    def seconds(self) -> float:
        """Wall seconds since entering, up to leaving."""
        return (self._stop or time.perf_counter()) - self._start

    def __enter__(self) -> Clock:
        self._start, self._stop, self._compiling = time.perf_counter(), None, []
        jax.monitoring.register_event_duration_secs_listener(self._listen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop = time.perf_counter()
        jax.monitoring.unregister_event_duration_listener(self._listen)
