"""What a network answers for every row of a source whose batches have several lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jrecipe.data.buckets import evaluation_rows
from jrecipe.finetune.tokenized import AnyTokenized
from jrecipe.types import PyTree


def row_outputs(
    predict: Callable[[PyTree], PyTree], source: AnyTokenized, *, batch_size: int = 64
) -> list[PyTree]:
    """Returns `predict(inputs)` for each row, in the order of the source.

    Args:
      predict: `(inputs) -> outputs` with leading axis b.
      source: its rows are read length by length.
      batch_size: rows of a batch; what fills up the last one is left out of the result.

    Returns:
      One pytree of NumPy arrays per row, without the leading axis; padding of its batch is in it.
    """
    found: list[Any] = [None] * len(source)
    batches = evaluation_rows(source.buckets, min(batch_size, len(source)))
    for rows, weights in zip(*batches, strict=True):
        outputs = jax.tree.map(np.asarray, predict(source.take(rows)[0]))
        for place, (row, weight) in enumerate(zip(rows.tolist(), weights.tolist(), strict=True)):
            if weight:
                found[row] = jax.tree.map(lambda leaf, place=place: leaf[place], outputs)
    return found
