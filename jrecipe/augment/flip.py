"""Mirroring pictures (D2)."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jrecipe.augment.draws import draws
from jrecipe.augment.fields import fields_of, with_leaves
from jrecipe.augment.moving import moved
from jrecipe.augment.numbers import require_probability
from jrecipe.augment.pictures import per_picture, pictures_of
from jrecipe.augment.warping import matrices
from jrecipe.types import Array, Augment, Batch, Key, TaskError

Pairs = Sequence[tuple[int, int]]


def random_flip(p: float | Array = 0.5, *, keypoint_pairs: Pairs = ()) -> Augment:
    """Mirrors each picture left-right, independently, and its masks, boxes and key points.

    Keeps shapes and dtypes, of pictures of any dtype; other targets stay.

    Args:
      p: chance that one picture is mirrored, in [0, 1]. May be traced.
      keypoint_pairs: pairs of places that change their meaning in a mirror, as the left and the
        right eye do; they are exchanged.

    Raises:
      TaskError: if `p` is not a probability, or later if the inputs are no pictures, or masks,
        boxes or key points do not fit them.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.arange(3.0).reshape(1, 1, 3, 1), jnp.array([7]), jnp.ones(1))
      >>> random_flip(p=1.0)(jax.random.key(0), batch).inputs.ravel().tolist()
      [2.0, 1.0, 0.0]
    """
    return _flip("random_flip", p, 2, tuple(keypoint_pairs))


def random_flip_vertical(p: float | Array = 0.5) -> Augment:
    """Mirrors each picture upside down, independently; otherwise as `random_flip`."""
    return _flip("random_flip_vertical", p, 1, ())


def _flip(name: str, p: float | Array, axis: int, pairs: Pairs) -> Augment:
    require_probability(name, p)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, name)
        flip = draws(key, x.shape[0])[0] < p
        sign = jnp.where(flip, -1.0, 1.0)
        start = jnp.where(flip, float(x.shape[axis]), 0.0)
        across, down = ((sign, 0, start), (0, 1, 0)) if axis == 2 else ((1, 0, 0), (0, sign, start))

        def mirror(pixels: Array) -> Array:
            return jnp.where(per_picture(flip), jnp.flip(pixels, axis), pixels)

        batch = moved(batch, name, mirror, matrices(across, down, (0, 0, 1)), mirror)
        return _exchanged(batch, flip, pairs, name) if pairs else batch

    return apply


def _exchanged(batch: Batch, flip: Array, pairs: Pairs, name: str) -> Batch:
    new = {}
    for path, (field, leaf) in fields_of(batch, name).items():
        if field in ("keypoints", "keypoints_valid"):
            n = leaf.shape[1]
            if not all(0 <= place < n for pair in pairs for place in pair):
                raise TaskError(
                    f"{name} needs `keypoint_pairs` of places 0 to {n - 1}, got {[*pairs]}."
                )
            order = np.arange(n)
            for one, other in pairs:
                order[[one, other]] = order[[other, one]]
            shape = (-1, *[1] * (leaf.ndim - 1))
            new[path] = jnp.where(flip.reshape(shape), leaf[:, order], leaf)
    return with_leaves(batch, new)
