"""Plots as SVG, by matplotlib: curves, matrices, bars and parallel coordinates."""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jrecipe.draw.element import for_pages
from jrecipe.draw.style import ABOVE, BELOW, GRID, INK, SERIES
from jrecipe.draw.text import clean, short_number, tick_text
from jrecipe.figures import Bars, Curves, Matrix, Parallel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

WIDTH = 344  # px; a phone shows it unscaled, so small print stays readable
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)))
_CELLS_DRAWN, _CELLS_NUMBERED = 32, 14
_LARGEST = 1e100  # keeps axis arithmetic finite


def svg(figure: Curves | Matrix | Bars | Parallel, *, prefix: str | None = None) -> str:
    """Draws a plot as an `<svg>` element, equal for equal figures.

    Args:
      figure: what to draw. NaN and infinity leave a gap; nothing to draw gives an empty frame that
        says so.
      prefix: start of every id in the drawing, for pages that inline several; by default it comes
        from the contents of the figure.

    Returns:
      The element, with its namespace, a viewBox and an aria-label; about 344 px wide by nature.

    Raises:
      TypeError: for figures that are no plots; `html` takes those.

    Example:
      >>> svg(Bars(title="Classes", values={"zero": 3, "one": 5}))[:5]
      '<svg '
    """
    import matplotlib
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawers: dict[type, Callable[[Any, Canvas], None]] = {
        Curves: _draw_curves,
        Matrix: _draw_matrix,
        Bars: _draw_bars,
        Parallel: _draw_parallel,
    }
    draw = drawers.get(type(figure))
    if draw is None:
        raise TypeError(
            f"svg draws Curves, Matrix, Bars and Parallel, got {figure!r}; use html(figure)."
        )
    if prefix is None:
        prefix = "jr" + hashlib.sha256(repr(figure).encode("utf-8", "replace")).hexdigest()[:10]
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "jrecipe",
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "font.family": ["DejaVu Sans"],  # comes with matplotlib; only measures the layout
        "font.size": 10.5,
        "axes.facecolor": "none",
        "axes.edgecolor": GRID,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    out = io.StringIO()
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # The reader's own fonts draw the text; a letter that DejaVu lacks is none of our trouble.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        canvas = Canvas(layout=ConstrainedLayoutEngine(w_pad=2 / 72, h_pad=2 / 72))
        canvas.patch.set_visible(False)
        draw(figure, canvas)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.savefig(out, format="svg", metadata=nothing)
    return for_pages(out.getvalue(), prefix, _spoken(figure))


def _draw_curves(figure: Curves, canvas: Canvas) -> None:
    lines = {name: _numbers(line) for name, line in figure.lines.items()}
    length = max((len(line) for line in lines.values()), default=0)
    x = np.arange(length, dtype=float) if figure.x is None else _numbers(figure.x)
    positive_x = figure.log_x and bool(np.any(x > 0))
    if positive_x:
        x = np.where(x > 0, x, np.nan)
    if figure.log_y:
        lines = {name: np.where(line > 0, line, np.nan) for name, line in lines.items()}
    if not any(np.isfinite(_pair(x, line)[1]).any() for line in lines.values()):
        _draw_nothing(canvas)
        return
    levels = {
        name: float(level)
        for name, level in figure.levels.items()
        if np.isfinite(level) and abs(level) < _LARGEST and (level > 0 or not figure.log_y)
    }
    names = [clean(name, 44) for name in (*lines, *levels)]
    columns = _legend_columns(names)
    rows = -(-len(names) // columns) if len(names) > 1 else 0
    canvas.set_size_inches(WIDTH / 72, (204 + 17 * rows) / 72)
    axes = canvas.add_subplot()
    drawn: list[Any] = []
    for i, (name, line) in enumerate(lines.items()):
        color, dash = SERIES[i % len(SERIES)], _DASHES[i // len(SERIES) % len(_DASHES)]
        xs, ys = _pair(x, line)
        # A line through few points, or through none that touch, shows the points themselves.
        joined = np.isfinite(ys[:-1]) & np.isfinite(ys[1:])
        marker = "o" if len(ys) <= 12 or not joined.any() else None
        drawn += axes.plot(
            xs, ys, color=color, linestyle=dash, linewidth=1.8, marker=marker, markersize=3.5
        )
        if name in figure.bands:
            low, high = (_pair(x, _numbers(edge))[1] for edge in figure.bands[name])
            n = min(len(low), len(high), len(xs))
            if figure.log_y:
                low = np.where(low > 0, low, np.nan)
            axes.fill_between(xs[:n], low[:n], high[:n], color=color, alpha=0.18, linewidth=0)
    for i, level in enumerate(levels.values()):
        dash = _DASHES[1 + i % (len(_DASHES) - 1)]
        drawn.append(axes.axhline(level, color=INK, alpha=0.65, linestyle=dash, linewidth=1.1))
    if positive_x:
        axes.set_xscale("log")
    if figure.log_y:
        axes.set_yscale("log")
    whole = np.isfinite(x).any() and bool(np.all(np.isnan(x) | (x == np.round(x))))
    _ticks(axes, whole=whole)
    axes.grid(axis="y")
    axes.set_xlabel(clean(figure.xlabel, 60))
    axes.set_ylabel(clean(figure.ylabel, 36))
    if len(names) > 1:
        legend = canvas.legend(
            drawn,
            names,
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            handlelength=1.6,
            borderaxespad=0.0,
            columnspacing=1.4,
            borderpad=0.25,
            labelspacing=0.35,
            fontsize=10.5,
        )
        legend.set_in_layout(True)


def _draw_matrix(figure: Matrix, canvas: Canvas) -> None:
    values = np.atleast_2d(np.asarray(figure.values, dtype=float))
    n, m = values.shape if values.ndim == 2 else (0, 0)
    if not n or not m:
        _draw_nothing(canvas)
        return
    finite = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), 0.0)
    top = float(np.abs(finite).max()) or 1.0
    # The root lets a few errors show beside many hits; the page shines through, light or dark.
    strength = 0.75 * np.sqrt(np.abs(finite) / top)
    side = min(26.0, 270.0 / max(n, m) if max(n, m) > _CELLS_DRAWN else 270.0 / m)
    labels_high = 12 + 5.2 * min(12, max((len(clean(c)) for c in figure.columns), default=0))
    canvas.set_size_inches(WIDTH / 72, (max(n * side, 40) + labels_high + 34) / 72)
    axes = canvas.add_subplot()
    if max(n, m) <= _CELLS_DRAWN:
        _draw_cells(axes, values, finite, strength)
    else:
        colors = np.where(finite[..., None] < 0, _rgb(BELOW), _rgb(ABOVE))
        pixels = np.concatenate([colors, strength[..., None]], axis=-1)
        axes.imshow(pixels, interpolation="none", extent=(-0.5, m - 0.5, n - 0.5, -0.5))
    axes.set_xlim(-0.5, m - 0.5)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_aspect("equal", anchor="W")
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    columns = [clean(name, 12) for name in figure.columns][:m]
    every, down = -(-m // 20) if m > 32 else 1, -(-n // 20) if n > 32 else 1
    turned = max((len(name) for name in columns), default=0) * 5.6 > side * every
    axes.set_xticks(
        range(0, len(columns), every), columns[::every], rotation=90 if turned else 0, fontsize=9.5
    )
    rows = [clean(name, 16) for name in figure.rows][:n]
    axes.set_yticks(range(0, len(rows), down), rows[::down], fontsize=9.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(clean(figure.xlabel, 48))
    axes.set_ylabel(clean(figure.ylabel, 36))


def _draw_cells(axes: Axes, values: np.ndarray, finite: np.ndarray, strength: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    numbered = max(values.shape) <= _CELLS_NUMBERED
    for (i, j), value in np.ndenumerate(values):
        color = BELOW if finite[i, j] < 0 else ABOVE
        corner = (j - 0.47, i - 0.47)
        if strength[i, j] > 0.004:
            cell = Rectangle(corner, 0.94, 0.94, color=color, alpha=float(strength[i, j]), lw=0)
        else:
            cell = Rectangle(corner, 0.94, 0.94, color=GRID, alpha=0.6, lw=0)
        axes.add_patch(cell)
        if numbered and value != 0:
            text = short_number(value)
            size = 9.5 if len(text) <= 3 else 7.5
            axes.text(j, i, text, ha="center", va="center_baseline", fontsize=size)


def _draw_bars(figure: Bars, canvas: Canvas) -> None:
    names = list(figure.values)
    lengths = _numbers([figure.values[name] for name in names])
    if not len(lengths) or not np.isfinite(lengths).any():
        _draw_nothing(canvas)
        return
    levels = {
        name: float(level)
        for name, level in figure.levels.items()
        if np.isfinite(level) and abs(level) < _LARGEST
    }
    legend_names = [clean(name, 44) for name in levels]
    columns = _legend_columns(legend_names) if levels else 1
    height = 29 * len(names) + 38 + 17 * -(-len(levels) // columns)
    canvas.set_size_inches(WIDTH / 72, height / 72)
    axes = canvas.add_subplot()
    places = np.arange(len(names), dtype=float)
    axes.barh(places, np.nan_to_num(lengths), height=0.36, color=SERIES[0])
    across = axes.get_yaxis_transform()
    for place, name, length in zip(places, names, lengths, strict=True):
        # The name stands above its bar: long names fit, on a phone too.
        axes.text(0, place - 0.27, clean(name, 44), transform=across, ha="left", va="baseline")
        value = short_number(length, 3)
        axes.text(1, place - 0.27, value, transform=across, ha="right", va="baseline")
        if name in figure.intervals:
            low, high = _numbers(figure.intervals[name])
            if np.isfinite([low, high]).all():
                axes.plot([low, high], [place, place], color=INK, linewidth=1.4)
                ends = ([low, high], [place, place])
                axes.plot(*ends, color=INK, marker="|", markersize=6, linestyle="none")
    drawn = [
        axes.axvline(level, color=INK, alpha=0.65, linestyle=_DASHES[1 + i % 3], linewidth=1.1)
        for i, level in enumerate(levels.values())
    ]
    axes.set_ylim(len(names) - 0.65, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    _ticks(axes, only_x=True)
    axes.set_xlabel(clean(figure.xlabel, 60))
    if levels:
        canvas.legend(
            drawn,
            legend_names,
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            borderpad=0.25,
            handlelength=1.6,
            borderaxespad=0.0,
            fontsize=10.5,
        )


def _draw_parallel(figure: Parallel, canvas: Canvas) -> None:
    places = np.asarray(figure.places, dtype=float)
    if places.ndim != 2 or not places.size or not np.isfinite(places).any():
        _draw_nothing(canvas)
        return
    # The axes lie across, so that their names have room; a line runs from the top to the bottom.
    n, d = places.shape
    marked = np.array([*figure.marked, *[False] * n][:n], bool)
    canvas.set_size_inches(WIDTH / 72, (34 * d + 40) / 72)
    axes = canvas.add_subplot()
    rows = np.arange(d, dtype=float)
    joined = np.where(np.isfinite(places), np.clip(places, 0.0, 1.0), np.nan)
    for chosen, color, alpha, width in ((False, SERIES[0], 0.3, 0.9), (True, SERIES[1], 0.9, 1.5)):
        for line in joined[marked == chosen]:
            dots = "o" if np.isfinite(line).sum() == 1 else None
            axes.plot(
                line, rows, color=color, alpha=alpha, linewidth=width, marker=dots, markersize=3
            )
    for row, name, (low, high) in zip(rows, figure.axes, figure.ends, strict=False):
        axes.plot([0, 1], [row, row], color=INK, linewidth=0.8)
        axes.text(0, row - 0.12, clean(low, 12), ha="left", va="bottom", fontsize=9.5)
        axes.text(0.5, row - 0.12, clean(name, 30), ha="center", va="bottom")
        axes.text(1, row - 0.12, clean(high, 12), ha="right", va="bottom", fontsize=9.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(d - 0.7, -0.75)
    axes.set_axis_off()
    if marked.any() and figure.mark:
        from matplotlib.lines import Line2D

        line = Line2D([], [], color=SERIES[1], linewidth=1.5)
        canvas.legend(
            [line],
            [clean(figure.mark, 44)],
            loc="outside upper left",
            frameon=False,
            borderpad=0.25,
            handlelength=1.6,
            borderaxespad=0.0,
            fontsize=10.5,
        )


def _draw_nothing(canvas: Canvas) -> None:
    canvas.set_size_inches(WIDTH / 72, 60 / 72)
    canvas.text(0.5, 0.5, "nothing to draw", ha="center", va="center", style="italic", alpha=0.7)


def _ticks(axes: Axes, *, only_x: bool = False, whole: bool = False) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    for axis, most in ((axes.xaxis, 6), (axes.yaxis, 5)):
        if only_x and axis is axes.yaxis:
            continue
        low, high = sorted(axis.get_view_interval())
        if axis.get_scale() == "log" and high / low >= 8:
            subs = (1.0,) if high / low > 200 else (1.0, 2.0, 5.0)
            axis.set_major_locator(LogLocator(10, subs=subs, numticks=7))
        else:
            steps = [1, 2, 2.5, 5, 10]
            axis.set_major_locator(
                MaxNLocator(most, steps=steps, integer=whole and axis is axes.xaxis)
            )
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))


def _legend_columns(names: Sequence[str]) -> int:
    longest = max((len(name) for name in names), default=0)
    return max(1, min(len(names), int(WIDTH // (6.6 * longest + 36))))


def _numbers(values: Any) -> np.ndarray:
    array = np.asarray(values, dtype=float).ravel()
    array = np.where(np.isfinite(array), array, np.nan)
    small = np.where(np.abs(array) < 1 / _LARGEST, 0.0, array)
    return np.where(np.abs(small) > _LARGEST, np.nan, small)


def _pair(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = min(len(x), len(y))
    return x[:n], np.where(np.isfinite(x[:n]), y[:n], np.nan)


def _rgb(color: str) -> np.ndarray:
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _spoken(figure: Curves | Matrix | Bars | Parallel) -> str:
    if isinstance(figure, Curves):
        ends = []
        for name, line in figure.lines.items():
            finite = _numbers(line)
            finite = finite[np.isfinite(finite)]
            last = f" ends at {short_number(finite[-1])}" if len(finite) else " is empty"
            ends.append(clean(name, 60) + last)
        what = "Lines: " + ", ".join(ends)
    elif isinstance(figure, Bars):
        shown = [f"{clean(k, 60)} {short_number(v)}" for k, v in list(figure.values.items())[:30]]
        what = "Bars: " + ", ".join(shown)
    elif isinstance(figure, Parallel):
        names = ", ".join(clean(name, 60) for name in figure.axes)
        what = f"Parallel coordinates: {len(figure.places)} lines over {names}"
    else:
        shape = " by ".join(map(str, np.shape(figure.values)))
        what = f"Matrix {shape}, {clean(figure.ylabel)} down, {clean(figure.xlabel)} across"
    return f"{clean(figure.title)}. {what}."
