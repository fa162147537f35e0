"""Draws what the benchmarks measured, for the documentation.

`benchmarks.png`: how many times as fast jrecipe is as each contestant, a dot for the median of the
rounds and a line from the least to the most, with a tick where it was wanted to be.
`growth.png`: time per update against what grows; in each square a line of slope 1 is the diagonal.

Command: python experiments/benchmarks/plot.py --ratios small_mlp.json overhead.json bert.json
--growth growth.json --out docs   (the files are those that --json of the scripts beside wrote)
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from growth import exponent
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from jrecipe.draw import short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE = "#0072b2", "#d55e00"
INK, GREY, PALE = "#222222", "#707070", "#c8c8c8"
WIDTH, DPI = 8.8, 100  # inches; 880 px are what a page of documentation shows unscaled
STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 10.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "ytick.labelcolor": INK,
}


def draw_ratios(contests: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws a dot with a whisker per contestant, on one logarithmic axis.

    Args:
      contests: as `contest.save` writes them.
    """
    titles: dict[float, str] = {}  # by place, from the top
    rows: dict[float, Mapping[str, Any]] = {}
    place = 0.0
    for each in contests:
        titles[place] = each["title"]
        rows |= {place + 1 + i: row for i, row in enumerate(each["rows"])}
        place += len(each["rows"]) + 1.5
    figure = Figure((WIDTH, 0.29 * place + 0.6), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    axes.axvline(1, color=PALE, linewidth=1, zorder=0)
    for place, row in rows.items():
        _draw_ratio(axes, place, row)
    wanted = {place: row["wanted"] for place, row in rows.items() if row["wanted"] is not None}
    for place, ratio in [*wanted.items()][:1]:
        style = {"color": ORANGE, "ha": "center", "backgroundcolor": "white", "zorder": 1}
        _write(axes, "wanted", (ratio, place - 0.5), (0, 4), **style)
    shown = [1, *wanted.values(), *(row[end] for row in rows.values() for end in ("low", "high"))]
    low, high = min(shown), max(shown)
    axes.set_xlim(low / (high / low) ** 0.15, high * (high / low) ** 0.15)
    axes.set_ylim(max(rows) + 0.6, -0.5)
    axes.set_yticks([*rows], [row["name"] for row in rows.values()])
    axes.set_yticks([*titles], [*titles.values()], minor=True, fontweight="bold")
    axes.xaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("jrecipe is so many times as fast")
    return figure


def _draw_ratio(axes: Axes, place: float, row: Mapping[str, Any]) -> None:
    axes.plot([row["low"], row["high"]], [place, place], color=BLUE, linewidth=2)
    axes.plot(row["ratio"], place, "o", color=BLUE, markersize=7)
    if row["wanted"] is not None:
        ends = [place - 0.36, place + 0.36]
        axes.plot([row["wanted"]] * 2, ends, color=ORANGE, linewidth=2.5, zorder=3)
    # On the side where the tick is not, so that nobody takes it for the tick's number.
    left = row["wanted"] is not None and row["wanted"] > row["ratio"]
    at, off = ((row["low"], place), (-8, 0)) if left else ((row["high"], place), (8, 0))
    side = "right" if left else "left"
    _write(axes, f"{row['ratio']:.2f}", at, off, ha=side, va="center_baseline")


def draw_growth(found: Sequence[Mapping[str, Any]], columns: int = 3) -> Figure:
    """Draws a square per axis: time per update, and a dashed line of slope 1 from the first point.

    Args:
      found: axes, as growth.py writes them.
      columns: squares in a row.
    """
    lines, side = -(-len(found) // columns), WIDTH / columns
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
    figure = Figure((WIDTH, lines * (side + 0.35)), dpi=DPI, layout=layout)
    numbers = [
        (
            [point["value"] for point in each["points"]],
            [point["seconds"] for point in each["points"]],
        )
        for each in found
    ]
    powers = [exponent(*pair) for pair in numbers]
    for i, (each, pair, power) in enumerate(zip(found, numbers, powers, strict=True)):
        axes = figure.add_subplot(lines, columns, i + 1)
        _draw_square(axes, *pair)
        axes.set_xlabel(each["label"], fontweight="bold")
        axes.set_title(f"time per update ~ value^{power:z.2f}", loc="left", fontsize=10.5)
        if i == powers.index(min(powers)):  # where there is most room
            _name_slope(axes, *pair)
    return figure


def _name_slope(axes: Axes, values: Sequence[float], seconds: Sequence[float]) -> None:
    middle = math.sqrt(values[0] * values[-1])
    style = {"rotation": 45, "rotation_mode": "anchor", "ha": "center", "color": GREY}
    _write(axes, "slope 1", (middle, seconds[0] * middle / values[0]), (-4, 4), **style)


def _draw_square(axes: Axes, values: Sequence[float], seconds: Sequence[float]) -> None:
    # Both axes span as many decades, so that slope 1 is the same everywhere: 45 degrees.
    span = max(values[-1] / values[0], max(seconds) / min(seconds)) ** 1.45
    left = math.sqrt(values[0] * values[-1]) / span**0.43  # room for the last time at the right
    bottom = min(seconds) / span**0.18
    axes.set(xscale="log", yscale="log", xlim=(left, left * span), ylim=(bottom, bottom * span))
    axes.set_box_aspect(1)
    far = [values[0], values[0] * span], [seconds[0], seconds[0] * span]
    axes.plot(*far, "--", color=PALE, linewidth=1.5, zorder=0)
    axes.plot(values, seconds, "o-", color=BLUE, linewidth=2, markersize=6)
    for value, time in zip(values, seconds, strict=True):
        _write(axes, short_time(time), (value, time), (2, -6), va="top", fontsize=9.5)
    apart = zip(values, [*values[1:], math.inf], strict=True)
    ticks = [value for value, after in apart if after / value > span**0.12]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())  # each point says its time
    axes.yaxis.set_minor_locator(NullLocator())


def short_time(seconds: float) -> str:
    """Returns a time with its unit, in two digits or three.

    Example:
      >>> [short_time(seconds) for seconds in (0.00026, 0.0013, 0.0388, 2.0)]
      ['260 us', '1.3 ms', '39 ms', '2 s']
    """
    scale, unit = next(
        each for each in ((1e6, "us"), (1e3, "ms"), (1, "s")) if seconds * each[0] < 1000
    )
    return f"{short_number(seconds * scale)} {unit}"


def _write(
    axes: Axes, text: str, at: tuple[float, float], off: tuple[float, float], **style: Any
) -> None:
    """Writes beside a point, so many typographic points away."""
    axes.annotate(text, at, off, textcoords="offset points", **style)


def read(paths: Sequence[Path]) -> list[Any]:
    return [json.loads(path.read_text()) for path in paths]


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})


def main() -> None:
    """Writes one picture or two."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratios", type=Path, nargs="+", default=[], help="files of contests")
    parser.add_argument("--growth", type=Path, nargs="+", default=[], help="files of growth.py")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        if given.ratios:
            save(draw_ratios(read(given.ratios)), given.out / "benchmarks.png")
        if given.growth:
            found = [axis for file in read(given.growth) for axis in file["axes"]]
            save(draw_growth(found), given.out / "growth.png")


if __name__ == "__main__":
    main()
