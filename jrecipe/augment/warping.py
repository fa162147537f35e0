"""The one engine that moves pictures, and masks, boxes and key points with them.

A movement is a matrix float32[b, 3, 3] that takes points (x, y, 1) of the old picture to points of
the new one, in pixels from the upper left edge (the centre of the first pixel is (0.5, 0.5)). An
affine one may leave out its last row, (0, 0, 1): float32[b, 2, 3], which saves a division a pixel.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jrecipe.augment.fields import changed_fields
from jrecipe.augment.pictures import float_pictures_of, with_pictures
from jrecipe.types import Array, Batch, TaskError

Mode = Literal["constant", "edge", "reflect"]


def warp(
    batch: Batch,
    matrix: Array,
    name: str = "warp",
    *,
    mode: Mode = "constant",
    fill: float | Array = 0.0,
    mask_fill: float = 0,
) -> Batch:
    """Moves each picture by its matrix, and what belongs to it (see `jrecipe.augment.fields`).

    Pictures are interpolated (bilinear), masks take the nearest pixel; boxes become those around
    their four moved corners, cut at the picture; key points are moved exactly. Boxes without area
    and key points outside are no longer valid.

    Args:
      batch: float pictures [b, h, w, c].
      matrix: float32[b, 3, 3], or [b, 2, 3] if it is affine; invertible.
      name: what error messages call the augmentation.
      mode: what lies outside of a picture: "constant", its "edge" repeated, or "reflect".
      fill: the constant, a number or one for each channel.
      mask_fill: the constant of masks.

    Raises:
      TaskError: if pictures are integers, or masks, boxes or key points do not fit them.
    """
    x = float_pictures_of(batch, name)
    inverse = invert(matrix)
    size = (x.shape[1], x.shape[2])
    at = apply_matrix(inverse, pixel_centres(*size, x.shape[0]))
    batch = changed_fields(
        batch,
        name,
        mask=lambda mask: nearest(mask, at, mode, mask_fill),
        points=lambda points: apply_matrix(matrix, points),
        size=size,
    )
    return with_pictures(batch, bilinear(x, at, mode, fill))


def require_mode(name: str, mode: str) -> None:
    """Raises TaskError unless the mode is known."""
    if mode not in get_args(Mode):
        raise TaskError(f"{name} needs `mode` out of {get_args(Mode)}, got {mode=}.")


def identity(b: int) -> Array:
    """Returns the matrices float32[b, 3, 3] that move nothing."""
    return jnp.broadcast_to(jnp.eye(3), (b, 3, 3))


def matrices(*rows: tuple[Array | float, Array | float, Array | float]) -> Array:
    """Returns float32[b, 3, 3] from its rows, each of three numbers or arrays [b]."""
    entries = jnp.broadcast_arrays(*(jnp.asarray(x, jnp.float32) for row in rows for x in row))
    return jnp.stack(entries, axis=-1).reshape(*entries[0].shape, 3, 3)


def about_centre(matrix: Array, size: tuple[int, int]) -> Array:
    """Returns movements about the centre of the picture from movements about the origin."""
    h, w = size
    there, back = (
        jnp.array([[1, 0, s * w / 2], [0, 1, s * h / 2], [0, 0, 1]], jnp.float32) for s in (1, -1)
    )
    return product(product(there[None], matrix), back[None])


def product(a: Array, b: Array) -> Array:
    """Returns the matrix products, `b` first; as sums, since so small ones are not worth a call."""
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def invert(matrix: Array) -> Array:
    """Returns the inverse of [b, 3, 3] or [b, 2, 3], in the same form."""
    if matrix.shape[-2] == 2:
        last = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0]), (*matrix.shape[:-2], 1, 3))
        return invert(jnp.concatenate([matrix, last], axis=-2))[..., :2, :]
    rows = [
        jnp.cross(matrix[..., (i + 1) % 3], matrix[..., (i + 2) % 3], axis=-1) for i in range(3)
    ]
    adjugate = jnp.stack(rows, axis=-2)
    return adjugate / jnp.sum(matrix[..., 0] * rows[0], axis=-1)[..., None, None]


def apply_matrix(matrix: Array, points: Array) -> Array:
    """Returns points float32[b, k, 2] moved by matrices [b, 3, 3] or [b, 2, 3]."""
    x, y = points[..., 0], points[..., 1]
    rows = [
        matrix[:, i, 0, None] * x + matrix[:, i, 1, None] * y + matrix[:, i, 2, None]
        for i in range(matrix.shape[1])
    ]
    return jnp.stack([row / rows[2] if len(rows) == 3 else row for row in rows[:2]], axis=-1)


def pixel_centres(h: int, w: int, b: int) -> Array:
    """Returns the centres of all pixels, float32[b, h * w, 2] as x, y."""
    y, x = jnp.meshgrid(jnp.arange(h) + 0.5, jnp.arange(w) + 0.5, indexing="ij")
    return jnp.broadcast_to(jnp.stack([x, y], axis=-1).reshape(1, h * w, 2), (b, h * w, 2))


def bilinear(x: Array, at: Array, mode: Mode, fill: float | Array) -> Array:
    """Returns pictures [b, h, w, c] with the values of `x` at points [b, h * w, 2]."""
    h, w, c = x.shape[1:]
    column, row = (_folded(at[..., k] - 0.5, n, mode) for k, n in enumerate((w, h)))
    left, top = jnp.floor(column), jnp.floor(row)
    right, down = column - left, row - top
    i, j = top.astype(jnp.int32), left.astype(jnp.int32)
    corners = (
        (0, 0, (1 - down) * (1 - right)),
        (0, 1, (1 - down) * right),
        (1, 0, down * (1 - right)),
        (1, 1, down * right),
    )
    shares = [
        jnp.where(_inside(i + below, h) & _inside(j + beside, w), share, 0.0)
        for below, beside, share in corners
    ]
    # What follows is one program for all channels, in which this would be computed for each anew.
    first, shares = jax.lax.optimization_barrier((i * w + j, shares))
    flat = x.reshape(len(x), h * w, c)
    out = sum(
        share[..., None] * _looked_up(flat, first + below * w + beside)
        for share, (below, beside, _) in zip(shares, corners, strict=True)
    )
    if mode == "constant":
        out = out + (1 - sum(shares))[..., None] * jnp.asarray(fill, x.dtype)
    return out.reshape(x.shape)


def nearest(x: Array, at: Array, mode: Mode, fill: float | Array) -> Array:
    """Returns [b, h, w, c] in the dtype of `x` with its values nearest to points [b, h * w, 2]."""
    h, w = x.shape[1:3]
    column, row = (_folded(at[..., k] - 0.5, n, mode) for k, n in enumerate((w, h)))
    i, j = (jnp.floor(place + 0.5).astype(jnp.int32) for place in (row, column))
    found = _looked_up(x.reshape(len(x), h * w, -1), i * w + j)
    if mode == "constant":
        inside = _inside(i, h) & _inside(j, w)
        found = jnp.where(inside[..., None], found, jnp.asarray(fill, x.dtype))
    return found.reshape(x.shape)


def _inside(place: Array, n: int) -> Array:
    """Tells whether 0 <= place < n, for int32: below 0 is far above n without a sign."""
    return place.astype(jnp.uint32) < n


def _looked_up(flat: Array, at: Array) -> Array:
    """Returns the pixels at places int32[b, k] of [b, h * w, c]; some pixel where there is none.

    Numbers are looked up one at a time, since gathers of numbers fuse with what is done to them.
    """
    at = jnp.clip(at, 0, flat.shape[1] - 1)
    one = lambda flat, at: flat.at[at].get(mode="promise_in_bounds")  # noqa: E731
    return jax.vmap(jax.vmap(one, in_axes=(-1, None), out_axes=-1))(flat, at)


def _folded(at: Array, n: int, mode: Mode) -> Array:
    """Brings places along an axis, where pixel i is at i, to -1 .. n, or to where they repeat."""
    if mode == "reflect" and n > 1:
        at = jnp.abs((at + n - 1) % (2 * n - 2) - (n - 1))
    low, high = (-1, n) if mode == "constant" else (0, n - 1)
    at = jnp.where(at > low, at, low)  # NaN, which is nowhere, as well
    return jnp.where(at < high, at, high)


def rotation(degrees: Array) -> Array:
    """Returns turns about the origin float32[b, 3, 3]; positive is counter-clockwise as seen."""
    cos, sin = jnp.cos(degrees * (math.pi / 180)), jnp.sin(degrees * (math.pi / 180))
    return matrices((cos, sin, 0), (-sin, cos, 0), (0, 0, 1))
