"""What augmentations of pictures ask of a batch."""

from __future__ import annotations

from jrecipe.types import Array, Batch, TaskError


def pictures_of(batch: Batch, name: str) -> Array:
    """Returns the pictures float[b, h, w, c] of a batch.

    Raises:
      TaskError: if the inputs are something else; `name` is the augmentation that asked.
    """
    x = batch.inputs
    if getattr(x, "ndim", None) != 4:
        got = f"shape {x.shape}" if hasattr(x, "shape") else type(x).__name__
        raise TaskError(f"{name} needs pictures [b, h, w, c] as inputs, got {got}.")
    return x
