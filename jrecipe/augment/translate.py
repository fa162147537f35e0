"""Moving pictures by whole pixels (D2)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jrecipe.augment.moving import moved
from jrecipe.augment.numbers import require_whole
from jrecipe.augment.pictures import pictures_of
from jrecipe.augment.warping import Mode, matrices, require_mode
from jrecipe.types import Array, Augment, Batch, Key


def random_translate(pixels: int | Array = 1) -> Augment:
    """Moves each picture by up to `pixels` down and right, independently; edges are repeated.

    Masks, boxes and key points move along. The same as padding and cropping at random. Keeps shapes
    and dtypes, of pictures of any dtype; other targets stay.

    Args:
      pixels: the farthest move in either direction, >= 0; all moves are equally likely. May be
        traced.

    Raises:
      TaskError: if `pixels` is negative or no integer, or later if the inputs are no pictures, or
        masks, boxes or key points do not fit them.
    """
    require_whole("random_translate", "pixels", pixels)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "random_translate")
        shifts = jax.random.randint(key, (x.shape[0], 2), -pixels, pixels + 1)

        def shift(pixels: Array) -> Array:
            (b, h, w), (down, right) = pixels.shape[:3], shifts.T
            rows = jnp.clip(jnp.arange(h)[None] - down[:, None], 0, h - 1)
            columns = jnp.clip(jnp.arange(w)[None] - right[:, None], 0, w - 1)
            return pixels[jnp.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]]

        return moved(batch, "random_translate", shift, _matrix(shifts), shift)

    return apply


def random_crop(
    padding: int = 4,
    *,
    mode: Mode = "reflect",
    fill: float = 0.0,
    mask_fill: float = 0,
) -> Augment:
    """Pads each picture and cuts one of its old size at random, independently (pad-crop).

    Masks, boxes and key points move along. Keeps shapes and dtypes, of pictures of any dtype; other
    targets stay. All places are equally likely.

    Args:
      padding: pixels on each side, >= 0; for "reflect" less than the picture has.
      mode: what to pad with: "reflect", "edge" or "constant".
      fill: the constant.
      mask_fill: the constant for masks.

    Raises:
      TaskError: if an argument is out of range, or later as in `random_translate`.

    References:
      He et al., "Deep Residual Learning for Image Recognition", 2015, section 4.2.
    """
    require_whole("random_crop", "padding", padding)
    require_mode("random_crop", mode)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "random_crop")
        starts = jax.random.randint(key, (x.shape[0], 2), 0, 2 * padding + 1)

        def crop(pixels: Array, value: float) -> Array:
            if padding == 0:
                return pixels
            wide = pad(pixels, padding, mode, value)

            def cut(one: Array, start: Array) -> Array:
                return jax.lax.dynamic_slice(one, (start[0], start[1], 0), pixels.shape[1:])

            return jax.vmap(cut)(wide, starts)

        return moved(
            batch,
            "random_crop",
            lambda pixels: crop(pixels, fill),
            _matrix(padding - starts),
            lambda pixels: crop(pixels, mask_fill),
        )

    return apply


def pad(x: Array, padding: int, mode: Mode, fill: float) -> Array:
    """Returns [b, h + 2 * padding, w + 2 * padding, c]."""
    margin = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    if mode == "constant":
        return jnp.pad(x, margin, constant_values=jnp.asarray(fill, x.dtype))
    return jnp.pad(x, margin, mode=mode)


def _matrix(shifts: Array) -> Array:
    """Returns float32[b, 3, 3] for moves int32[b, 2] down and right."""
    down, right = shifts.T.astype(jnp.float32)
    return matrices((1, 0, right), (0, 1, down), (0, 0, 1))
