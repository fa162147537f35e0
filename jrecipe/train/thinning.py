"""What is kept of a run without an end: all at first, then every second, every fourth.

What it writes and holds may not grow with it for ever. It grows by as much each time the run
becomes twice as long, and what is kept is a function of the number alone, so that a run which was
interrupted has kept what it would have.
"""

from __future__ import annotations


def stride(number: int, dense: int) -> int:
    """Returns the distance of what is kept around `number`, a power of two.

    Args:
      number: counted from 1.
      dense: so many are all kept; of the `dense` after them every second, of the `2 * dense` after
        those every fourth, and so on, >= 1.

    Example:
      >>> [n for n in range(1, 33) if n % stride(n, dense=4) == 0]
      [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    """
    return 1 << ((number - 1) // dense).bit_length()
