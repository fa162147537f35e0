"""What the kinds of annotations are called: by the names of the classes where these surely fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


def kind_names(
    values: np.ndarray, names: Sequence[str], otherwise: str, *, from_zero: bool
) -> Callable[[int], str]:
    """Returns the function that names a kind.

    Values of 1 to the number of names are taken to count from 1, as masks do whose 0 is what lies
    behind.

    Args:
      values: of the kinds that occur, without those that mean nothing.
      names: of the classes, or ().
      otherwise: said before the value where no name surely fits: "class" makes "class 3".
      from_zero: whether smaller values are known to count from 0; if not, they get no names.

    Example:
      >>> kind_names(np.array([1, 2]), ["cat", "dog"], "mask", from_zero=False)(2)
      'dog'
      >>> kind_names(np.array([1, 1]), ["cat", "dog"], "mask", from_zero=False)(1)
      'mask 1'
      >>> kind_names(np.array([1, 1]), ["cat", "dog"], "class", from_zero=True)(1)
      'dog'
    """
    if not len(values) or not len(names):
        shift = None
    elif values.max() < len(names):
        shift = 0 if from_zero else None
    else:
        shift = 1 if values.max() == len(names) and values.min() >= 1 else None

    def name(value: int) -> str:
        place = -1 if shift is None else value - shift
        return str(names[place]) if 0 <= place < len(names) else f"{otherwise} {value}"

    return name
