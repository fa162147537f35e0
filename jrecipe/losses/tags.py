"""Which tags may follow one another in the BIO2 scheme of named entities (J5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jrecipe.types import TaskError


def bio2_steps(names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Returns which BIO2 tags may come first, and which may follow which.

    "B-X" begins an entity of type X, "I-X" goes on with it, "O" is outside: "I-X" may follow "B-X"
    and "I-X" only, everything else may stand anywhere.

    Args:
      names: of the k tags, such as `("O", "B-PER", "I-PER")`.

    Returns:
      `(first bool[k], follows bool[k, k])`; `follows[i, j]` says whether j may follow i.

    Raises:
      TaskError: if a name is no BIO2 tag, or stands there twice.

    Example:
      >>> first, follows = bio2_steps(["O", "B-PER", "I-PER"])
      >>> first.tolist(), follows[:, 2].tolist()
      ([True, True, False], [False, True, True])
    """
    names = [str(name) for name in names]
    for i, name in enumerate(names):
        if name != "O" and not (name[:2] in ("B-", "I-") and len(name) > 2):
            raise TaskError(
                f"names need BIO2 tags, 'O', 'B-TYPE' or 'I-TYPE', got {name!r} at {i}; leave the "
                "names out for tags of another scheme."
            )
        if name in names[:i]:
            raise TaskError(f"names need different tags, got {name!r} twice; drop one of them.")
    inside = np.array([name.startswith("I-") for name in names], bool)
    same = np.array([[a != "O" and a[2:] == b[2:] for b in names] for a in names], bool)
    return ~inside, ~inside[None] | same
