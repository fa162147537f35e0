"""Rectangles taken out of pictures (D2, ladder rung 1); targets stay."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.draws import draws, whole
from jrecipe.augment.numbers import require_probability, require_range, require_whole
from jrecipe.augment.pictures import pictures_of, require_float, with_pictures
from jrecipe.types import Array, Augment, Batch, Key, TaskError

_GRID = 400  # quantiles of area and of aspect, of which the table of rectangles is made


def random_erase(
    p: float | Array = 0.5,
    *,
    area: tuple[float, float] = (0.02, 0.33),
    aspect: tuple[float, float] = (0.3, 3.3),
    value: float | Sequence[float] | str = 0.0,
) -> Augment:
    """Replaces a rectangle of each picture, with chance `p`, somewhere within the picture.

    The area is uniform in its range and the aspect log-uniform in its own, given that the rectangle
    fits, to whole pixels. The law is exact: what is erased is never less or more than `area` says.

    Args:
      p: chance that a picture is erased, in [0, 1]. May be traced.
      area: smallest and largest share of the picture, in [0, 1].
      aspect: smallest and largest height over width, > 0; (1, 1) for squares.
      value: what comes instead, in the unit of the pictures: a number, one for each channel,
        "noise" (standard normal) or "mean" (of the picture, by channel). After normalising, 0 is
        the mean of the data.

    Raises:
      TaskError: if an argument is out of range; or later if the inputs are no pictures, no
        rectangle of whole pixels is in both ranges, or `value` does not fit the pictures.

    References:
      Zhong et al., "Random Erasing Data Augmentation", 2017, arXiv:1708.04896 (AAAI 2020).

    Example:
      >>> import jax, jax.numpy as jnp
      >>> from jrecipe.types import Batch
      >>> batch = Batch(jnp.ones((1, 8, 8, 1)), jnp.array([7]), jnp.ones(1))
      >>> erase = random_erase(1.0, area=(0.25, 0.25), aspect=(1.0, 1.0))
      >>> float(erase(jax.random.key(0), batch).inputs.mean())
      0.75
    """
    require_probability("random_erase", p)
    require_range("random_erase", "area", area, 0.0, 1.0)
    require_range("random_erase", "aspect", aspect, 1e-3, 1e3)
    if isinstance(value, str) and value not in ("noise", "mean"):
        raise TaskError(
            f"random_erase needs `value` to be a number, one for each channel, 'noise' or 'mean', "
            f"got {value!r}."
        )

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "random_erase")
        b, h, w, _ = x.shape
        chance, which, *place = draws(key, b, 4)
        sizes, below = rectangles(h, w, tuple(area), tuple(aspect))
        row = jnp.searchsorted(jnp.asarray(below), which, side="right")
        inside = rectangle_at(place, jnp.asarray(sizes)[row], (h, w))
        inside &= (chance < p)[:, None, None]
        filling = _filling("random_erase", jax.random.fold_in(key, 1), x, value)
        return with_pictures(batch, jnp.where(inside[..., None], filling, x))

    return apply


def cutout(size: int = 8, *, p: float | Array = 1.0, value: float = 0.0) -> Augment:
    """Replaces a square around a random pixel of each picture; at the edge it is cut.

    Args:
      size: side of the square in pixels, >= 0.
      p: chance for each picture, in [0, 1]. May be traced.
      value: what comes instead, in the unit of the pictures.

    Raises:
      TaskError: if an argument is out of range, or later if the inputs are no pictures.

    References:
      DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout",
      2017, arXiv:1708.04552.
    """
    require_whole("cutout", "size", size)
    require_probability("cutout", p)

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, "cutout")
        b, h, w, _ = x.shape
        chance, down, right = draws(key, b, 3)
        y, x0 = whole(down, h) - size // 2, whole(right, w) - size // 2
        inside = between(h, y, y + size)[:, :, None] & between(w, x0, x0 + size)[:, None, :]
        inside &= (chance < p)[:, None, None]
        return with_pictures(
            batch, jnp.where(inside[..., None], _filling("cutout", key, x, value), x)
        )

    return apply


@functools.cache
def rectangles(
    h: int, w: int, area: tuple[float, float], aspect: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rectangles of whole pixels that may be erased, and how likely they are.

    The continuous law (area uniform, log-aspect uniform, given that it fits) is laid on a fine
    grid, and each of its rectangles goes to the nearest one whose own area and aspect are in range.

    Returns:
      `(sizes int32[k, 2], below float32[k])`: height and width, and the cumulative probability.

    Raises:
      TaskError: if there is no such rectangle.
    """
    high, wide = (side.ravel() for side in np.mgrid[1 : h + 1, 1 : w + 1])
    share, shape, slack = high * wide / (h * w), high / wide, 1e-9
    allowed = (share >= area[0] - slack) & (share <= area[1] + slack)
    allowed &= (shape >= aspect[0] - slack) & (shape <= aspect[1] + slack)
    if not allowed.any():
        raise TaskError(
            f"random_erase finds no rectangle of whole pixels in pictures of {h} x {w} with "
            f"{area=} and {aspect=}; widen one of them."
        )
    sizes = np.stack([high, wide], axis=1)[allowed]
    quantiles = (np.arange(_GRID) + 0.5) / _GRID
    want_area = (area[0] + (area[1] - area[0]) * quantiles)[:, None] * (h * w)
    ratio = aspect[0] * (aspect[1] / aspect[0]) ** quantiles[None]
    want_h, want_w = np.sqrt(want_area * ratio), np.sqrt(want_area / ratio)
    fits = (want_h <= h) & (want_w <= w)
    # Nearest in area first, in aspect second: the law of the area is what is promised.
    counts = np.zeros(len(sizes))
    areas = sizes.prod(axis=1)
    levels = np.unique(areas)
    logs = np.log(sizes[:, 0] / sizes[:, 1])
    nearest_level = np.abs(levels[None] - want_area).argmin(axis=1)
    for i in np.unique(nearest_level[fits.any(axis=1)]):
        rows = np.flatnonzero(nearest_level == i)
        wanted = np.broadcast_to(np.log(ratio), fits.shape)[rows][fits[rows]]
        members = np.flatnonzero(areas == levels[i])
        nearest = np.abs(logs[members][None] - wanted[:, None]).argmin(axis=1)
        np.add.at(counts, members[nearest], 1.0)
    if not counts.any():  # ranges so narrow that no wish fits, only its rounding
        counts[:] = 1.0
    sizes, counts = sizes[counts > 0], counts[counts > 0]
    below = np.cumsum(counts) / counts.sum()
    below[-1] = 1.0
    return sizes.astype(np.int32), below.astype(np.float32)


def rectangle_at(place: Sequence[Array], sizes: Array, picture: tuple[int, int]) -> Array:
    """Puts rectangles within pictures; returns bool[b, h, w].

    Args:
      place: two draws [b] in [0, 1): how far down and right.
      sizes: int32[b, 2], heights and widths.
      picture: height and width.
    """
    starts = [whole(draw, picture[i] - sizes[:, i] + 1) for i, draw in enumerate(place)]
    rows, columns = (
        between(picture[i], start, start + sizes[:, i]) for i, start in enumerate(starts)
    )
    return rows[:, :, None] & columns[:, None, :]


def between(n: int, start: Array, end: Array) -> Array:
    """Returns bool[b, n]: the places from start [b] to before end [b]."""
    places = jnp.arange(n)[None]
    return (places >= start[:, None]) & (places < end[:, None])


def _filling(name: str, key: Key, x: Array, value: float | Sequence[float] | str) -> Array:
    if isinstance(value, str):
        require_float(x, f"{name} with value={value!r}")
        if value == "noise":
            return jax.random.normal(key, x.shape, x.dtype)
        return jnp.mean(x, axis=(1, 2), keepdims=True)
    numbers = np.asarray(value, np.float64)
    if numbers.ndim > 1 or (numbers.ndim == 1 and len(numbers) != x.shape[-1]):
        raise TaskError(
            f"{name} needs `value` as one number or {x.shape[-1]}, one for each channel, got "
            f"{value=}."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        lowest, highest = (int(bound) for bound in (jnp.iinfo(x.dtype).min, jnp.iinfo(x.dtype).max))
        if not np.all((numbers == np.round(numbers)) & (numbers >= lowest) & (numbers <= highest)):
            raise TaskError(
                f"{name} needs `value` that {x.dtype} pictures can hold, got {value=}; give a "
                "whole number, or convert the pictures to floats."
            )
    return jnp.broadcast_to(jnp.asarray(numbers, x.dtype), (x.shape[-1],))[None, None, None]
