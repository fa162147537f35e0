"""Moves by whole pixels: exact for every dtype, and quick."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from jrecipe.augment.fields import changed_fields
from jrecipe.augment.pictures import pictures_of, with_pictures
from jrecipe.augment.warping import apply_matrix
from jrecipe.types import Array, Batch

Pixels = Callable[[Array], Array]


def moved(batch: Batch, name: str, picture: Pixels, matrix: Array, mask: Pixels) -> Batch:
    """Moves pictures and all that belongs to them.

    Args:
      batch: pictures of any dtype.
      name: what error messages call the augmentation.
      picture: moves pictures [b, h, w, c].
      matrix: float32[b, 3, 3], the same move for boxes and key points.
      mask: the same for masks.
    """
    x = pictures_of(batch, name)
    batch = changed_fields(
        batch,
        name,
        mask=mask,
        points=lambda points: apply_matrix(matrix, jnp.asarray(points, jnp.float32)),
        size=(x.shape[1], x.shape[2]),
    )
    return with_pictures(batch, picture(x))
