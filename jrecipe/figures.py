"""Pictures as data: a check says what to draw, and matplotlib draws it when somebody looks.

A figure holds plain NumPy arrays, so that the judge of a check stays free of plotting, the JSON
report can carry the numbers, and the HTML report the picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

Numbers = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curves:
    """Lines over a common axis, with an optional band and horizontal reference lines.

    Attributes:
      title: one line, says what to see.
      x: float[n], or None for 0..n-1.
      lines: name -> float[n]; NaN leaves a gap.
      bands: name -> (low float[n], high float[n]), drawn in the colour of the line of that name.
      levels: name -> height of a dashed reference line (a floor, chance).
      xlabel: axis name with unit.
      ylabel: axis name with unit.
      log_y: logarithmic y axis; values <= 0 are not drawn.
      log_x: logarithmic x axis.
    """

    title: str
    lines: Mapping[str, Numbers]
    x: Numbers | None = None
    bands: Mapping[str, tuple[Numbers, Numbers]] = dataclasses.field(default_factory=dict)
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    xlabel: str = "step"
    ylabel: str = ""
    log_y: bool = False
    log_x: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Marks:
    """What is marked on one picture; places are `x, y` from its upper left corner.

    Attributes:
      height: of the picture, in the unit of the places.
      width: the same.
      regions: a name each and bool[rows, columns], which is stretched over the picture.
      boxes: a name each and (x0, y0, x1, y1); named "" where its kind is not known.
      points: a name each and (x, y).
    """

    height: float
    width: float
    regions: Sequence[tuple[str, np.ndarray]] = ()
    boxes: Sequence[tuple[str, tuple[float, float, float, float]]] = ()
    points: Sequence[tuple[str, tuple[float, float]]] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What there is, each name once."""
        parts = (*self.regions, *self.boxes, *self.points)
        return tuple(dict.fromkeys(name for name, _ in parts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotations:
    """What is marked on each of some pictures.

    Attributes:
      marks: for each picture.
      names: of kinds that are known, each with a colour by its place here; others follow.
      note: how it was understood, in sentences.
    """

    marks: Sequence[Marks]
    names: Sequence[str] = ()
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pictures:
    """A row-wise gallery of small images with a caption each.

    Attributes:
      title: one line.
      images: float[n, h, w] or float[n, h, w, c] with c in (1, 3), values in [0, 1].
      captions: n short texts; shown as text, never as markup.
      good: bool per picture (green or red frame), or None for no frames.
      annotations: what is drawn upon the pictures, or None.
    """

    title: str
    images: np.ndarray
    captions: Sequence[str]
    good: Sequence[bool] | None = None
    annotations: Annotations | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matrix:
    """A heat map with the number in each cell: a confusion or a dependency matrix.

    Attributes:
      title: one line.
      values: float[rows, columns].
      rows: names down the side.
      columns: names along the top.
      ylabel: what the rows are.
      xlabel: what the columns are.
    """

    title: str
    values: np.ndarray
    rows: Sequence[str]
    columns: Sequence[str]
    ylabel: str = ""
    xlabel: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars:
    """Horizontal bars with an optional interval each.

    Attributes:
      title: one line.
      values: name -> length.
      intervals: name -> (low, high), drawn as a whisker.
      levels: name -> position of a dashed reference line.
      xlabel: what is measured, with unit.
    """

    title: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    levels: Mapping[str, float] = dataclasses.field(default_factory=dict)
    xlabel: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Histograms:
    """Small histograms side by side, each on an axis of its own; heights are roots of the counts.

    Attributes:
      title: one line.
      counts: n times float[bins], not negative.
      edges: n times float[bins + 1], rising evenly.
      captions: n short texts; shown as text, never as markup.
      notes: n short texts below, empty ones left out.
      good: bool per histogram; those that are not are marked.
    """

    title: str
    counts: Sequence[Numbers]
    edges: Sequence[Numbers]
    captions: Sequence[str]
    notes: Sequence[str] = ()
    good: Sequence[bool] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parallel:
    """Parallel coordinates: an upright axis for each quantity, and a line for each example.

    Attributes:
      title: one line.
      axes: d names.
      ends: d times (text at the lower end, text at the upper end).
      places: float[n, d] in [0, 1], from the lower to the upper end; NaN leaves a gap.
      marked: n bools; these lines stand out.
      mark: what the marked ones are.
    """

    title: str
    axes: Sequence[str]
    ends: Sequence[tuple[str, str]]
    places: np.ndarray
    marked: Sequence[bool] = ()
    mark: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Text in rows and columns, for what is read rather than seen.

    Attributes:
      title: one line.
      columns: header texts.
      rows: rows of texts; shown as text, never as markup.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Returns header and rows as a table in Markdown, without the title."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


Figure = Curves | Pictures | Matrix | Bars | Histograms | Parallel | Table
