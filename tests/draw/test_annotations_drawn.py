"""What lies upon a picture: lines at their places, masks on their pixels, nothing for nothing."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest

from jrecipe.draw import html
from jrecipe.draw.annotations import Kinds, colour, legend, overlay
from jrecipe.figures import Annotations, Marks, Pictures


def layer(height=8, width=10, kinds=None, **fields):
    return overlay(Marks(height=height, width=width, **fields), kinds or Kinds())


def paths(drawn, mark):
    """Returns colour -> path data of boxes or points."""
    return dict(re.findall(rf"<path class='{mark}' style='--kind:(#\w+)' d='([^']*)'/>", drawn))


def painted(drawn):
    """Returns the mask's picture, uint8[h, w, 4]."""
    from PIL import Image

    data = re.search(r"href='data:image/png;base64,([^']+)'", drawn)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA"))


def rgb(text):
    return [int(text[i : i + 2], 16) for i in (1, 3, 5)]


def test_a_box_is_drawn_at_its_corners_in_the_colour_of_its_kind():
    kinds = Kinds(["cat", "dog"])
    boxes = [("dog", (1.0, 2.0, 4.5, 6.25)), ("", (0, 0, 1, 1)), ("dog", (2, 2, 3, 3))]
    drawn = layer(boxes=boxes, kinds=kinds)
    assert "viewBox='0 0 10 8'" in drawn
    assert paths(drawn, "jr-boxes") == {
        colour(1): "M1 2H4.5V6.25H1ZM2 2H3V3H2Z",
        colour(2): "M0 0H1V1H0Z",
    }
    assert re.findall(r"<span[^>]*>([^<]*)</span>", drawn) == ["dog", "dog"]
    assert "left:10.0%;bottom:75.0%" in drawn  # its name stands upon its upper left corner


def test_points_are_dots_at_their_places():
    drawn = layer(points=[("point 0", (2.5, 3.0)), ("point 1", (9.0, 7.125))])
    assert paths(drawn, "jr-points") == {colour(0): "M2.5 3h0", colour(1): "M9 7.12h0"}


def test_a_mask_colours_exactly_its_pixels():
    mask = np.random.default_rng(0).random((8, 10)) > 0.6
    seen = painted(layer(regions=[("road", mask)]))
    np.testing.assert_array_equal(seen[..., 3] > 0, mask)
    assert (seen[mask, :3] == rgb(colour(0))).all()


@pytest.mark.parametrize("count", [2, 9])  # few colours have a palette, many have not
def test_masks_over_one_another_are_mixed(count):
    rng = np.random.default_rng(1)
    masks = [(f"{i}", rng.random((40, 50)) > 0.5) for i in range(count)]
    seen = painted(layer(regions=masks)).astype(float)
    stack = np.stack([mask for _, mask in masks])
    np.testing.assert_array_equal(seen[..., 3] > 0, stack.any(axis=0))
    colours = np.array([rgb(colour(i)) for i in range(count)])
    wanted = np.einsum("khw,kc->hwc", stack, colours) / np.maximum(stack.sum(axis=0), 1)[..., None]
    assert np.abs(seen[..., :3] - wanted)[stack.any(axis=0)].max() <= 0.5


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"boxes": [("cat", (3, 3, 3, 3)), ("cat", (np.nan, 0, 1, 1)), ("cat", (0, 0, np.inf, 1))]},
        {"points": [("nose", (np.nan, 1.0))]},
        {"regions": [("road", np.zeros((8, 10), bool))]},
    ],
)
def test_what_is_not_there_draws_nothing(fields):
    assert layer(**fields) == ""


def test_names_are_text_and_many_boxes_are_not_labelled():
    drawn = layer(boxes=[("<b>\"'&", (1, 1, 2, 2))])
    assert "&lt;b&gt;&quot;&#x27;&amp;" in drawn
    assert "<b>" not in drawn
    assert "<span" not in layer(boxes=[("cat", (i, 1, i + 1, 2)) for i in range(13)])
    told = legend(["<i>", "dog", ""], Kinds(["dog", "<i>"]))
    assert re.findall(r"</i>([^<]*)</li>", told) == ["dog", "&lt;i&gt;"]
    assert "and 4 more" in legend(map(str, range(20)), Kinds())


def test_colours_stay_with_their_names_and_are_all_different():
    kinds = Kinds(["a", "b"])
    assert [kinds.colour(name) for name in ("b", "c", "a")] == [colour(1), colour(2), colour(0)]
    assert len({colour(i) for i in range(100)}) == 100


def test_a_gallery_has_a_layer_for_each_picture_a_legend_and_the_note():
    marks = [
        Marks(height=4, width=4, boxes=[("cat", (0, 0, 2, 2))]),
        Marks(height=4, width=4, boxes=[("eel", (1, 1, 2, 2))]),
        Marks(height=4, width=4),
    ]
    given = Annotations(marks=marks, names=("cat", "dog", "eel"), note="Drawn: <all>.")
    figure = Pictures(
        title="t", images=np.ones((3, 4, 4)), captions=["a", "b", "c"], annotations=given
    )
    element = html(figure)
    entries = re.findall(r"<li><div class=\"jr-marked\">(.*?)</div><span>", element)
    assert [paths(entry, "jr-boxes") for entry in entries] == [
        {colour(0): "M0 0H2V2H0Z"},
        {colour(2): "M1 1H2V2H1Z"},
        {},
    ]
    assert re.findall(r"</i>(\w+)</li>", element) == ["cat", "eel"]
    assert "Drawn: &lt;all&gt;." in element
    assert "jr-marks" not in html(Pictures(title="t", images=np.ones((1, 4, 4)), captions=["a"]))


def test_names_are_shown_as_text():
    name = "</span><img src=x onerror='alert(1)'>&\u202e"
    kinds = Kinds([name])
    drawn = layer(boxes=[(name, (1.0, 2.0, 4.5, 6.25))], kinds=kinds) + legend([name], kinds)
    assert "<img" not in drawn
    assert "\u202e" not in drawn
    assert drawn.count("&lt;/span&gt;&lt;img") == 2
