"""Plots: drawn for any numbers, equal for equal figures, theirs alone on a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.draw import clean, short_number, svg
from jrecipe.draw.style import SERIES
from jrecipe.figures import Bars, Curves, Matrix, Table

NAN, INF = float("nan"), float("inf")
LINE = st.sampled_from(
    [
        [],
        [1.0],
        [NAN],
        [NAN, NAN, 2.0, NAN],
        [3.0] * 5,
        [0.0] * 4,
        [-1.0, -2.0],
        [1.0, INF, -INF, 2.0],
        [1e300, -1e300],
        [1e-300, 2e-300],
        [5e-324, 1.0],
        [1e8, 1e8 + 1],
        [1e-7, 1.0, 1e7],
        np.linspace(2.3, 0.1, 50).tolist(),
    ]
)
NAME = st.sampled_from(
    [
        "train",
        "_hidden",
        "$\\frac$",
        "<b>&\"'",
        "日本語 🎂",
        "x" * 300,
        "",
        "a\x00\x1b[31m\nb",
        "\ud800",
    ]
)


def texts(element: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(element).iter() if text.text]


@given(
    lines=st.dictionaries(NAME, LINE, max_size=9),
    levels=st.dictionaries(NAME, st.sampled_from([0.0, 1.0, -3.0, NAN, INF, 1e300]), max_size=2),
    logs=st.tuples(st.booleans(), st.booleans()),
    label=NAME,
)
def test_curves_of_any_numbers_and_names_are_drawn(lines, levels, logs, label):
    figure = Curves(
        title=label, lines=lines, levels=levels, ylabel=label, log_y=logs[0], log_x=logs[1]
    )
    ElementTree.fromstring(svg(figure).encode())  # well-formed, and UTF-8


@given(
    values=st.dictionaries(NAME, st.sampled_from([0.0, 1.0, -2.5, NAN, INF, 1e300]), max_size=6),
    low=st.sampled_from([-1.0, NAN, 0.0]),
)
def test_bars_of_any_numbers_and_names_are_drawn(values, low):
    intervals = dict.fromkeys(list(values)[:2], (low, 1.0))
    figure = Bars(title="t", values=values, intervals=intervals, levels={"chance": low})
    ElementTree.fromstring(svg(figure).encode())


@pytest.mark.thin(14)
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (2, 3), (14, 14), (3, 40), (50, 50), (70, 2)])
@pytest.mark.parametrize("fill", [0.0, 1.0, NAN, "random"])
def test_matrices_of_any_shape_are_drawn(shape, fill):
    rng = np.random.default_rng(0)
    values = rng.normal(size=shape) if fill == "random" else np.full(shape, fill)
    rows, columns = ([f"<{i}> $x" for i in range(n)] for n in shape)
    element = svg(Matrix(title="t", values=values, rows=rows, columns=columns, xlabel="x"))
    ElementTree.fromstring(element.encode())


def test_a_matrix_shows_its_numbers():
    figure = Matrix(
        title="t", values=np.array([[35, 0], [7, 28]]), rows=["cat", "dog"], columns=["c1", "d1"]
    )
    shown = texts(svg(figure))
    assert {"35", "7", "28", "cat", "dog", "c1", "d1"} <= set(shown)
    assert "0" not in shown  # an empty cell says nothing


def test_a_curve_shows_its_names_and_the_last_value_is_told_to_screen_readers():
    figure = Curves(title="Loss", lines={"train": [3, 1], "val": [3, 2]}, ylabel="nats")
    element = svg(figure)
    assert {"train", "val", "step", "nats"} <= set(texts(element))
    assert "train ends at 1, val ends at 2" in ElementTree.fromstring(element).get("aria-label", "")


def test_bars_show_names_values_and_levels():
    element = svg(Bars(title="t", values={"real": 0.0812, "blank": 2.3}, levels={"floor": 2.29}))
    assert {"real", "0.0812", "blank", "2.3", "floor"} <= set(texts(element))


def test_nothing_to_draw_says_so():
    assert "nothing to draw" in svg(Curves(title="t", lines={"a": [NAN]}))
    assert "nothing to draw" in svg(Curves(title="t", lines={"a": [-1.0, 0.0]}, log_y=True))
    assert "nothing to draw" in svg(Bars(title="t", values={}))


def test_equal_figures_give_equal_drawings():
    def figure():
        return Curves(title="t", lines={"a": [1, 2, 3]}, levels={"b": 2.0})

    assert svg(figure()) == svg(figure())


def test_ids_are_the_drawings_own():
    figure = Curves(title="t", lines={"a": [1, 2, 3], "b": [2, 1, 2]})
    one, two = svg(figure, prefix="f1"), svg(figure, prefix="f2")
    ids = [set(re.findall(r' id="([^"]+)"', element)) for element in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for element, known in zip((one, two), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"', element) + re.findall(r"url\(#([^)]+)\)", element)
        assert set(used) == known


def test_colours_follow_the_page():
    element = svg(Curves(title="t", lines={"a": [1, 2, 3]}, levels={"b": 2.0}))
    assert f"var(--jr-1, {SERIES[0]})" in element
    assert "currentColor" in element
    assert "<style" not in element  # it would reach the whole page
    assert not re.search(r"#(111213|d1d2d3|ffffff)", element)
    assert "DejaVu" not in element


def test_what_is_no_plot_is_refused():
    with pytest.raises(TypeError, match=r"use html\(figure\)"):
        svg(Table(title="t", columns=[], rows=[]))


@given(text=st.text(), limit=st.integers(1, 20))
def test_clean_text_is_one_short_line_that_can_be_written(text, limit):
    line = clean(text, limit)
    assert len(line) <= limit
    assert "\n" not in line
    assert "\x1b" not in line
    line.encode()


@given(value=st.floats(), digits=st.integers(2, 3))
def test_short_numbers_are_short(value, digits):
    assert 1 <= len(short_number(value, digits)) <= 10
