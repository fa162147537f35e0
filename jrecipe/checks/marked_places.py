"""Boxes and key points among targets: which arrays are some, and where they are on a picture.

Only places in pixels, `x` before `y`, are drawn, as augmentations take them; of arrays that are not
called so it has to follow from their values that they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

_ENOUGH = 8  # boxes whose values can show how they are meant
_SHARE = 1.5  # the largest place up to which all look like shares of the picture
_SLACK = 1.0  # pixel, by which places may be outside of the picture
_WITHIN = 0.95  # share of boxes or key points that have to be in the picture


@dataclasses.dataclass(frozen=True)
class Boxes:
    """How an array [b, n, 4] marks boxes: `x0, y0, x1, y1` in pixels.

    Attributes:
      name: gives the name of a kind.
      names: those that can occur.
      said: how it was understood, in words.
    """

    name: Callable[[int], str]
    names: tuple[str, ...] = ()
    said: str = ""

    def of(
        self, boxes: np.ndarray, valid: np.ndarray | None, kinds: np.ndarray | None
    ) -> list[tuple[str, tuple[float, float, float, float]]]:
        """Returns names and corners of the boxes of one picture that are there.

        Args:
          boxes: [n, 4].
          valid: bool[n], or None.
          kinds: int[n], negative on padding, or None.
        """
        found = []
        for i in np.flatnonzero(boxes_there(boxes, valid, kinds)):
            x0, y0, x1, y1 = map(float, boxes[i])
            found.append(("" if kinds is None else self.name(int(kinds[i])), (x0, y0, x1, y1)))
        return found


@dataclasses.dataclass(frozen=True)
class Points:
    """How an array [b, n, 2], or [b, n, 3] with visibility, marks key points: `x, y` in pixels.

    Attributes:
      count: of them, n.
      said: how it was understood, in words.
    """

    count: int
    said: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """What can be marked; a key point keeps its colour by its place in the array."""
        return tuple(f"point {i}" for i in range(self.count))

    def of(
        self, points: np.ndarray, valid: np.ndarray | None
    ) -> list[tuple[str, tuple[float, float]]]:
        """Returns names and places of the key points [n, 2 or 3] of one picture that are there."""
        there = points_there(points, valid)
        return [
            (f"point {i}", (float(points[i, 0]), float(points[i, 1])))
            for i in np.flatnonzero(there)
        ]


def boxes_there(
    boxes: np.ndarray, valid: np.ndarray | None, kinds: np.ndarray | None
) -> np.ndarray:
    """Tells which boxes [..., 4] are there, bool[...].

    Padding is what `valid` leaves out, what has a negative kind, what is not finite, and what has
    no area, as all 0 or all -1.
    """
    given = boxes.astype(np.float64)
    there = np.isfinite(given).all(axis=-1)
    there &= (given[..., 0] != given[..., 2]) & (given[..., 1] != given[..., 3])
    if valid is not None:
        there &= valid
    return there if kinds is None else there & (kinds >= 0)


def points_there(points: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    """Tells which key points [..., 2 or 3] are there, bool[...].

    Hidden are those that are not finite, and that `valid` leaves out; without it those whose
    visibility is 0, or without that too, those at (0, 0) and (-1, -1).
    """
    given = points.astype(np.float64)
    place = given[..., :2]
    there = np.isfinite(place).all(axis=-1)
    if valid is not None:
        there &= valid
    elif given.shape[-1] == 3:
        there &= given[..., 2] > 0
    else:
        there &= ~((place == 0).all(axis=-1) | (place == -1).all(axis=-1))
    return there


def why_no_boxes(
    boxes: np.ndarray, there: np.ndarray, size: tuple[int, int], word: str, *, declared: bool
) -> str:
    """Says why an array does not hold boxes `x0, y0, x1, y1` in pixels, "" if it does.

    Args:
      boxes: [b, n, 4], of many examples.
      there: bool[b, n], which are no padding.
      size: height and width of the pictures.
      word: how the array is called.
      declared: whether it is called "boxes"; if not, other orders have to be ruled out.
    """
    real = boxes[there].astype(np.float64)
    if not len(real):
        return f"{word} is not drawn: all of it is padding."
    if np.abs(real).max() <= _SHARE:
        return _no_pixels(word, "'x0, y0, x1, y1'")
    h, w = size
    x0, y0, x1, y1 = real.T
    inside = _inside(x0, x1, w) & _inside(y0, y1, h)
    if inside.mean() < (_WITHIN if declared else 1.0):
        return (
            f"{word} is not drawn: {(~inside).mean():.0%} are no corners x0, y0, x1, y1 in pixels "
            f"within the picture of width {w} and height {h}."
        )
    if declared:
        return ""
    sized = _inside(x0, x0 + x1, w) & _inside(y0, y0 + y1, h)
    middle = _inside(x0 - x1 / 2, x0 + x1 / 2, w) & _inside(y0 - y1 / 2, y0 + y1 / 2, h)
    if len(real) < _ENOUGH or sized.all() or middle.all():
        return (
            f"{word} is not drawn: it may hold boxes, but not surely x0, y0, x1, y1; call it "
            "'boxes' if it does."
        )
    return ""


def why_no_points(
    points: np.ndarray, there: np.ndarray, size: tuple[int, int], word: str, *, declared: bool
) -> str:
    """Says why an array does not hold key points `x, y` in pixels, "" if it does; see above."""
    real = points[there][:, :2].astype(np.float64)
    if not len(real):
        return f"{word} is not drawn: all of it is padding."
    if np.abs(real).max() <= _SHARE:
        return _no_pixels(word, "'x, y'")
    h, w = size
    x, y = real.T
    inside = _inside(x, x, w) & _inside(y, y, h)
    if inside.mean() < (_WITHIN if declared else 1.0):
        return (
            f"{word} is not drawn: {(~inside).mean():.0%} are not within the picture of width {w} "
            f"and height {h} as x, y in pixels."
        )
    return ""


def _inside(low: np.ndarray, high: np.ndarray, most: int) -> np.ndarray:
    result: np.ndarray = (low >= -_SLACK) & (low <= high) & (high <= most + _SLACK)
    return result


def _no_pixels(word: str, order: str) -> str:
    return (
        f"{word} is not drawn: its values look like shares of the picture, whose order is not "
        f"known; {order} in pixels are drawn."
    )
