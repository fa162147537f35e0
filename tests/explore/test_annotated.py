"""Annotations on the pictures of the explorer (A7): gathered, packed, seen in a browser, hidden."""

from __future__ import annotations

import base64
import io
import json
import re
import time
import zlib

import numpy as np
import pytest
from browsers import needs_browser
from sets import data
from sets import shapes as smooth

from jrecipe.explore.columns import target_columns
from jrecipe.explore.examples import Examples
from jrecipe.explore.gather import gather
from jrecipe.explore.page import render

N, SIDE = 12, 16
BOXES = np.zeros((N, 2, 4), np.float32)
BOXES[:, 0] = [[4, 2, 12, 8 + i % 4] for i in range(N)]
POINTS = np.stack([np.full((N, 1), 13.0), np.full((N, 1), 3.0)], axis=2).astype(np.float32)
MASK = np.zeros((N, SIDE, SIDE), np.int32)
MASK[:, 12:, :4] = 2


def examples(inputs=None, targets=None, names=("cat", "dog")):
    inputs = np.zeros((N, SIDE, SIDE, 1), np.uint8) if inputs is None else inputs
    if targets is None:
        kinds = np.tile([[0, -1]], (N, 1))
        targets = {"boxes": BOXES, "boxes_class": kinds, "keypoints": POINTS, "mask": MASK}
    gathered = gather(data(inputs, targets, class_names=names))
    return Examples(
        "marked",
        tuple(target_columns(gathered)),
        gathered.view,
        np.arange(len(gathered)),
        gathered.notes,
        annotate=gathered.annotate,
    )


def told(page):
    return json.loads(re.search(r'<script class="jx-told"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def layers(page):
    packed = re.findall(r'<script class="jx-layers" type="text/plain">(.*?)</script>', page)
    return [one for text in packed for one in json.loads(zlib.decompress(base64.b64decode(text)))]


def test_the_page_holds_a_layer_for_each_example_in_its_order():
    page = render(examples().sort("target").take(np.arange(N)[::-1]))
    held = [found[0] for found in layers(page)]
    bottoms = [int(re.search(r"M4 2H12V(\d+)H4Z", layer)[1]) for layer in held]
    assert bottoms == [8 + i % 4 for i in reversed(range(N))]
    names = [told(page)["marks"]["kinds"][number][0] for number in layers(page)[0][1]]
    assert names == ["cat", "dog", "point 0"]  # the mask counts from 1, so its 2 is a dog
    assert "Drawn: boxes as x0, y0, x1, y1 in pixels" in page


def test_examples_tell_their_annotations_and_the_column_counts_them():
    some = examples().head(2)
    assert some.annotations().marks[1].boxes == [("cat", (4.0, 2.0, 12.0, 9.0))]
    assert some["target"].tolist() == ["1 mask, 1 box, 1 key point"] * 2


def test_pictures_without_annotations_have_none_and_no_choice():
    plain = examples(targets=np.arange(N) % 3)
    assert plain.annotations() is None
    page = render(plain)
    assert told(page)["marks"] is None
    assert '<label class="jx-check">' not in page
    odd = examples(targets={"boxes": BOXES / SIDE})
    assert "boxes is not drawn: its values look like shares" in render(odd).lower()


def test_large_pictures_are_thinned_and_their_annotations_with_them():
    """140 x 130 pixels are shown as 46 x 43 squares of 3; what is left at the edge is cut off."""
    mask = np.zeros((4, 140, 130), np.int32)
    mask[:, 30:60, 60:90] = 1
    mask[:, 0, 0] = 2
    boxes = np.tile(np.float32([[[60, 30, 90, 60]]]), (4, 1, 1))
    marks = examples(np.zeros((4, 140, 130, 1), np.uint8), {"mask": mask, "boxes": boxes})
    found = marks.annotations().marks[0]
    assert marks.shown().shape[1:3] == (46, 43)
    assert (round(found.height, 6), round(found.width, 6)) == (138, 129)
    assert found.boxes == [("", (60.0, 30.0, 90.0, 60.0))]
    region = found.regions[0][1]
    high, wide = region.shape
    assert max(high, wide) == 64
    rows, columns = np.nonzero(region)
    for edge, wanted, scale in (
        (rows.min(), 30, high / 138),
        (rows.max() + 1, 60, high / 138),
        (columns.min(), 60, wide / 129),
        (columns.max() + 1, 90, wide / 129),
    ):
        assert abs(edge - wanted * scale) <= 1


def test_layers_count_for_the_size_of_the_page():
    noisy = np.random.default_rng(0).integers(0, 3, (200, 32, 32)).astype(np.int32)
    many = examples(np.zeros((200, 32, 32, 1), np.uint8), {"mask": noisy})
    page = render(many, megabytes=0.05)
    packed = re.findall(r'<script class="jx-layers" type="text/plain">(.*?)</script>', page)
    assert 0 < sum(map(len, packed)) <= 0.05e6
    assert 10 < told(page)["count"] < 200


def until(browser, script):
    for _ in range(200):
        if browser.execute_script(f"return {script}"):
            return
        time.sleep(0.05)
    raise AssertionError(f"this never came true: {script}")


@pytest.mark.slow
@needs_browser
def test_annotations_are_seen_at_their_places_and_can_be_hidden(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(render(examples()), encoding="utf-8")
    browser.set_window_size(1200, 900)
    browser.get_log("browser")
    browser.get(path.as_uri())
    until(browser, "document.querySelectorAll('.jx-open .jr-marks').length > 3")
    browser.execute_script("document.querySelector('.jx-open').click()")
    until(browser, "document.querySelector('dialog .jr-marks')")
    until(browser, "'drawn' in document.querySelector('dialog canvas').dataset")
    legend = browser.find_elements("css selector", "dialog .jr-legend li")
    assert [line.text for line in legend] == ["cat", "dog", "point 0"]
    label = browser.find_element("css selector", "dialog .jr-marks span")
    assert label.text == "cat"
    assert light(browser, 12.0, 5.0) > 100  # the right side of the box
    assert light(browser, 9.0, 8.0) > 100  # its lower side
    assert light(browser, 13.0, 3.0) > 100  # the point
    assert light(browser, 2.0, 14.0) > 40  # the mask
    for x, y in ((8.0, 5.0), (14.5, 8.0), (2.0, 11.0), (5.0, 14.0)):
        assert light(browser, x, y) < 10, (x, y)
    browser.find_element("css selector", "dialog .jx-check input").click()
    assert light(browser, 12.0, 5.0) < 10
    assert light(browser, 2.0, 14.0) < 10
    assert not label.is_displayed()
    assert not browser.find_element("css selector", ".jx-bar .jx-check input").is_selected()
    browser.find_element("css selector", "dialog [aria-label='Next example']").click()
    until(browser, "document.querySelector('dialog .jr-marks')")
    assert light(browser, 12.0, 5.0) < 10  # the choice stays
    browser.find_element("css selector", "dialog .jx-check input").click()
    assert light(browser, 9.0, 9.0) > 100  # the second box ends further down
    assert light(browser, 9.0, 8.0) < 10
    assert browser.get_log("browser") == []


def light(browser, x, y):
    """Returns the brightest channel that the screen shows at a place of the large picture."""
    from PIL import Image

    box = browser.execute_script(
        "const box = document.querySelector('dialog canvas').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height, devicePixelRatio];"
    )
    left, top, wide, high, ratio = box
    screen = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    at = (round((left + x / SIDE * wide) * ratio), round((top + y / SIDE * high) * ratio))
    return max(screen.getpixel(at))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["texts", "numbers"])
def test_inputs_that_are_no_pictures_have_no_annotations(kind):
    inputs = smooth(N).reshape(N, -1)[:, :6]
    texts = {"train": [f"text {i}" for i in range(N)]} if kind == "texts" else None
    assert gather(data(inputs, {"boxes": BOXES}, texts=texts)).annotate(np.arange(3)) is None
