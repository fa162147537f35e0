"""Masks, boxes and key points as a layer that lies upon a picture of any size on the screen.

Lines and dots keep their width on the screen however far the picture is enlarged, and what they
mark keeps its place: a picture of 28 pixels gets fine outlines too. The layer is one element, to be
put behind the picture into an element of class "jr-marked", which has the picture's size.
"""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from jrecipe.draw.text import clean
from jrecipe.figures import Marks

# Okabe and Ito's palette, the ones that are bright upon pictures first.
_PALETTE = ("#f0e442", "#56b4e9", "#e69f00", "#cc79a7", "#009e73", "#d55e00", "#0072b2")
_GOLDEN = 0.381966  # of a turn between hues, which spreads any number of them
_LABELLED = 12  # boxes of a picture up to which each is labelled
_LEGEND = 16  # names of a legend
_NAME = 40  # characters
_LIGHT = np.array([0.2126, 0.7152, 0.0722])  # of red, green and blue
_DARK = 115  # of 255: letters are white upon what is darker


class Kinds:
    """Gives each name a colour that stays, in the order of their coming.

    Args:
      names: that come first, whether they occur or not.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._places: dict[str, int] = {}
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Appends those names that are new."""
        for name in names:
            self.number(name)

    def number(self, name: str) -> int:
        """Returns the place of a name among all, from 0."""
        return self._places.setdefault(name, len(self._places))

    def colour(self, name: str) -> str:
        """Returns the colour of a name, as "#rrggbb"."""
        return colour(self.number(name))

    @property
    def names(self) -> tuple[str, ...]:
        """All names, by number."""
        return tuple(self._places)


def colour(number: int) -> str:
    """Returns a colour as "#rrggbb"; the first few can be told apart by any eye."""
    if number < len(_PALETTE):
        return _PALETTE[number]
    light = (0.55, 0.72, 0.42)[number % 3]
    rgb = colorsys.hls_to_rgb((number * _GOLDEN) % 1.0, light, 0.85)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def overlay(marks: Marks, kinds: Kinds) -> str:
    """Draws what is marked on one picture as an HTML element; "" if there is nothing.

    Boxes without an area, places that are not finite and regions without a pixel are left out; what
    lies outside of the picture is cut off.

    Args:
      marks: what to draw.
      kinds: their colours; new names are added.
    """
    wide, high = f"{marks.width:g}", f"{marks.height:g}"
    body = _image(marks, kinds, wide, high)
    boxes = [(name, box) for name, box in marks.boxes if _has_area(box)]
    points = [(name, point) for name, point in marks.points if np.isfinite(point).all()]
    body += _paths("jr-boxes", [(name, _rectangle(box)) for name, box in boxes], kinds)
    body += _paths("jr-points", [(name, _dot(point)) for name, point in points], kinds)
    if not body:
        return ""
    labels = "".join(_label(name, box, marks, kinds) for name, box in boxes if name)
    return (
        f"<div class='jr-marks' aria-hidden='true'><svg viewBox='0 0 {wide} {high}' "
        f"preserveAspectRatio='none'>{body}</svg>{labels if len(boxes) <= _LABELLED else ''}</div>"
    )


def legend(names: Iterable[str], kinds: Kinds) -> str:
    """Returns a list of names with their colours, "" if there are none; "" among them is left out.

    Args:
      names: which to tell; of more than 16 the rest is counted.
      kinds: their colours.
    """
    told = sorted({name for name in names if name}, key=kinds.number)
    lines = [
        f"<li><i style='--kind:{kinds.colour(name)}'></i>{escape(clean(name, _NAME))}</li>"
        for name in told[:_LEGEND]
    ]
    if len(told) > _LEGEND:
        lines.append(f"<li>and {len(told) - _LEGEND} more</li>")
    return f"<ul class='jr-legend'>{''.join(lines)}</ul>" if lines else ""


def _has_area(box: tuple[float, float, float, float]) -> bool:
    x0, y0, x1, y1 = box
    return bool(np.isfinite(box).all()) and x0 != x1 and y0 != y1


def _rectangle(box: tuple[float, float, float, float]) -> str:
    x0, y0, x1, y1 = (_place(value) for value in box)
    return f"M{x0} {y0}H{x1}V{y1}H{x0}Z"


def _dot(point: tuple[float, float]) -> str:
    return f"M{_place(point[0])} {_place(point[1])}h0"


def _place(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _paths(mark: str, drawn: list[tuple[str, str]], kinds: Kinds) -> str:
    """Returns a path for each kind, with a dark one under all that parts them from the picture."""
    if not drawn:
        return ""
    by_name: dict[str, str] = {}
    for name, path in drawn:
        by_name[name] = by_name.get(name, "") + path
    under = f"<path class='jr-under {mark}' d='{''.join(by_name.values())}'/>"
    return under + "".join(
        f"<path class='{mark}' style='--kind:{kinds.colour(name)}' d='{path}'/>"
        for name, path in by_name.items()
    )


def _label(name: str, box: tuple[float, float, float, float], marks: Marks, kinds: Kinds) -> str:
    """Returns the name of a box, above its upper left corner, or inside of it under the edge."""
    left = 100 * min(max(min(box[0], box[2]) / marks.width, 0.0), 1.0)
    top = 100 * min(max(min(box[1], box[3]) / marks.height, 0.0), 1.0)
    # From the nearer side, so that the name is not cut off by the edge.
    across = f"left:{left:.1f}%" if left < 70 else f"right:{100 - min(left + 30, 100):.1f}%"
    down = f"bottom:{100 - top:.1f}%" if top > 12 else f"top:{top:.1f}%"
    paper = kinds.colour(name)
    ink = "#000" if _rgb(paper) @ _LIGHT > _DARK else "#fff"
    return (
        f"<span style='{across};{down};--kind:{paper};color:{ink}'>"
        f"{escape(clean(name, _NAME))}</span>"
    )


def _image(marks: Marks, kinds: Kinds, wide: str, high: str) -> str:
    """Returns regions as a picture in which all else is clear; where several lie, their mean."""
    from PIL import Image

    regions = [(name, np.asarray(mask, bool)) for name, mask in marks.regions]
    regions = [(name, mask) for name, mask in regions if mask.any()]
    if not regions:
        return ""
    shape = regions[0][1].shape
    count, total = np.zeros(shape), np.zeros((*shape, 3))
    for name, mask in regions:
        count += mask
        total += mask[..., None] * _rgb(kinds.colour(name))
    painted = np.dstack([total / np.maximum(count, 1)[..., None], 255 * (count > 0)])
    levels = np.round(painted).astype(np.uint8)
    found, codes = np.unique(levels.view(np.uint32), return_inverse=True)
    if len(found) <= 256:  # one byte or less for a pixel
        palette = found.view(np.uint8).reshape(-1, 4)
        image = Image.fromarray(codes.reshape(shape).astype(np.uint8))
        image.putpalette(palette[:, :3].tobytes())
        extra: dict[str, Any] = {"transparency": palette[:, 3].tobytes()}
    else:
        image, extra = Image.fromarray(levels), {}
    out = io.BytesIO()
    image.save(out, "PNG", **extra)
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return (
        f"<image width='{wide}' height='{high}' preserveAspectRatio='none' "
        f"href='data:image/png;base64,{data}'/>"
    )


def _rgb(text: str) -> np.ndarray:
    return np.array([int(text[i : i + 2], 16) for i in (1, 3, 5)])
