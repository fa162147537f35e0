"""Figures as HTML: everything is text, pictures are exact, nothing is loaded."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jrecipe.draw import html
from jrecipe.figures import Bars, Curves, Histograms, Matrix, Pictures, Table

HOSTILE = "<script>alert('x')</script>\"&\x00"
FIGURES = {
    "curves": Curves(title=HOSTILE, lines={HOSTILE: [1, 2]}, levels={HOSTILE: 1}, ylabel=HOSTILE),
    "bars": Bars(title=HOSTILE, values={HOSTILE: 1.0}, xlabel=HOSTILE),
    "matrix": Matrix(title=HOSTILE, values=np.ones((1, 1)), rows=[HOSTILE], columns=[HOSTILE]),
    "pictures": Pictures(title=HOSTILE, images=np.ones((1, 2, 2)), captions=[HOSTILE], good=[True]),
    "histograms": Histograms(
        title=HOSTILE, counts=[[1, 2]], edges=[[0, 1, 2]], captions=[HOSTILE], notes=[HOSTILE]
    ),
    "table": Table(title=HOSTILE, columns=[HOSTILE], rows=[[HOSTILE]]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_of_a_figure_is_shown_as_text(name):
    element = html(FIGURES[name])
    assert "<script" not in element
    assert "&lt;script&gt;alert(" in element
    assert "\x00" not in element


def pixels(element: str) -> list[np.ndarray]:
    from PIL import Image

    found = re.findall(r'src="data:image/png;base64,([^"]+)"', element)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for data in found]


@given(seed=st.integers(0, 99), channels=st.sampled_from([None, 1, 3]))
def test_pictures_arrive_pixel_by_pixel(seed, channels):
    shape = (2, 4, 5) if channels is None else (2, 4, 5, channels)
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    shown = pixels(html(Pictures(title="t", images=levels / 255, captions=["a", "b"])))
    want = levels[..., 0] if channels == 1 else levels
    np.testing.assert_array_equal(np.stack(shown), want)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((0, 8, 8)),
        np.full((1, 1, 1), np.nan),
        np.full((1, 2, 2), np.inf),
        np.full((1, 2, 2), -3.0),
        np.ones((1, 2, 2, 7)),
        np.ones((1, 2, 2), dtype=bool),
        np.zeros((2, 600, 3)),
        np.zeros((3, 0, 0)),
        np.zeros(()),
    ],
)
def test_odd_pictures_are_drawn_or_said_to_be_nothing(images):
    element = html(Pictures(title="t", images=images, captions=[]))
    assert ("data:image/png" in element) == (images.size > 0 and images.ndim > 1)


def test_right_and_wrong_are_told_by_sign_too():
    figure = Pictures(
        title="t", images=np.ones((2, 2, 2)), captions=["seven", "one"], good=[True, False]
    )
    right, wrong = re.findall(r"<li.*?</li>", html(figure))
    assert "✓" in right
    assert "seven" in right
    assert "✗" in wrong
    assert "one" in wrong


def test_a_table_keeps_its_cells_and_lines_numbers_up():
    figure = Table(
        title="t", columns=["name", "loss"], rows=[["plain", "0.08"], ["drop", "1.2e-3"]]
    )
    element = html(figure)
    assert '<td>plain</td><td class="jr-number">0.08</td>' in element
    ragged = Table(title="t", columns=["a"], rows=[["1", "2"], []])
    assert html(ragged).count("<td") == 4
    assert "nothing to show" in html(Table(title="t", columns=["a"], rows=[]))


def test_histograms_have_the_heights_of_their_roots_and_say_what_is_bad():
    figure = Histograms(
        title="t",
        counts=[[0, 4, 16], [0, 0, 0]],
        edges=[[-1.0, 0.5, 2.0, 3.5], [0.0, 1.0, 2.0, 3.0]],
        captions=["first", "second"],
        notes=["", "all dead"],
        good=[True, False],
    )
    good, bad = re.findall(r"<li.*?</li>", html(figure))
    assert "M0 56V56H56V28H112V0H168V56Z" in good
    assert "stroke-dasharray" in good  # the line at 0
    assert "✗" not in good
    assert "✗ all dead" in bad
    assert "stroke-dasharray" not in bad
    assert 'aria-label="Histogram of first: −1 to 3.5"' in good
    nothing = Histograms(title="t", counts=[], edges=[], captions=[])
    assert "nothing to draw" in html(nothing)
