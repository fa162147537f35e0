"""How many updates to make between two looks at signals, clocks and the loss."""

from __future__ import annotations

SECONDS = 2.0  # between two looks, about
STEADY = 100  # updates between two looks where they may not depend on a clock
_GROWTH = 10  # a first measurement is a rough one


class Pace:
    """Chunks that take about as long as each other, short and long updates alike.

    A small network makes a thousand updates between two looks, so that looking costs it nothing;
    one that takes seconds for an update is looked at after each, so that it stops soon when asked.

    Args:
      longest: most updates of a chunk, >= 1.
      steady: always the same number, for processes that have to agree on it.

    Example:
      >>> pace = Pace(1000)
      >>> for seconds in (9.0, 0.1, 1.0):  # the first one compiles, which tells nothing
      ...     count = pace.count
      ...     pace.took(count, seconds)
      >>> pace.count
      20
    """

    def __init__(self, longest: int, steady: bool = False) -> None:
        self._longest, self._steady, self._looks = longest, steady, 0
        self.count = min(STEADY, longest) if steady else 1

    def took(self, count: int, seconds: float) -> None:
        """Notes how long a chunk took.

        Args:
          count: its updates, >= 1.
          seconds: > 0.
        """
        self._looks += 1
        if self._steady or self._looks == 1:
            return
        most = min(self._longest, _GROWTH * max(count, self.count))
        self.count = max(1, min(most, int(SECONDS * count / max(seconds, 1e-9))))
