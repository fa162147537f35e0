"""Texts that a person typed, and the least input of an encoder."""

from __future__ import annotations

import numpy as np

from jrecipe.types import PyTree, TaskError


def parts_of(text: str, count: int) -> list[str]:
    """Returns the parts of a line between its tabs.

    Raises:
      TaskError: if there are not `count` of them.
    """
    parts = text.split("\t")
    if len(parts) != count:
        raise TaskError(
            f"this task reads {count} texts with a tab between, got {len(parts)} in {text[:40]!r}; "
            "give them as FIRST<tab>SECOND, or a file with a field for each."
        )
    return parts


def one_token() -> PyTree:
    """Returns one text of one token, `{"ids": int32[1, 1], "mask": bool[1, 1]}`."""
    return {"ids": np.zeros((1, 1), np.int32), "mask": np.ones((1, 1), bool)}
