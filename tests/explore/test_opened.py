"""`Examples.show` opens a page, in a browser or below a notebook's cell; a preview is short."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from browsers import needs_browser

from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.opened import framed, in_notebook, preview
from jrecipe.explore.page import render

MADE = """
import numpy as np
from jrecipe.explore import Column, Examples

rows = Examples(
    "pets",
    (Column("label", np.array(["cat", "dog"] * 20)), Column("size", np.arange(40))),
    lambda places: [f"text {place}" for place in places],
    np.arange(40),
)
"""


def examples(n=40):
    names = np.array(["<b>cat</b>", "dog'&\""])
    columns = (Column("label", names[np.arange(n) % 2]), Column("loss", np.arange(n) / 7))
    shades = np.random.default_rng(0).random((n, 6, 6)).astype(np.float32)
    return Examples("pets", columns, lambda places: shades[places], np.arange(n))


@pytest.mark.skipif(os.name != "posix", reason="the browser here is a shell script")
def test_the_page_is_written_and_opened(tmp_path):
    script, asked = tmp_path / "browser", tmp_path / "asked"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {asked}\n')
    script.chmod(0o755)
    env = os.environ | {"BROWSER": f"{script} %s", "TMPDIR": str(tmp_path)}
    code = MADE + "print(rows.where(label='cat').sort('size', descending=True).show(), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    path = done.stdout
    assert path.startswith(str(tmp_path))
    assert asked.read_text() == f"file://{path}"
    with open(path, encoding="utf-8") as file:
        page = file.read()
    assert '"count":20' in page
    assert '["text 38","text 36"' in page


def test_this_is_no_notebook():
    assert not in_notebook()


@pytest.mark.slow
def test_a_notebook_shows_the_page_below_the_cell(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    cells = [nbformat.v4.new_code_cell(MADE + "path = rows.show()"), "print(path)", "rows"]
    cells[1:] = map(nbformat.v4.new_code_cell, cells[1:])
    book = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(book, kernel_name="python3", timeout=120).execute()
    (shown,), (said,), (looked,) = (cell.outputs for cell in book.cells)
    frame = shown["data"]["text/html"]
    assert frame.startswith("<iframe sandbox='allow-scripts allow-downloads'")
    with open(said["text"].strip(), encoding="utf-8") as file:
        assert file.read() in html.unescape(frame)
    assert "pets: 40 examples, the first of them" in looked["data"]["text/html"]


def test_nothing_of_a_page_ends_its_frame():
    page = render(examples())
    frame = framed(page)
    (inside,) = re.findall(r"srcdoc='([^']*)'></iframe>$", frame)
    assert inside.replace("&#39;", "'").replace("&amp;", "&") == page


@needs_browser
def test_the_frame_works_apart_from_the_page_around_it(browser, tmp_path):
    path = tmp_path / "notebook.html"
    path.write_text(
        f"<!doctype html><meta charset='utf-8'><title>book</title>{framed(render(examples()))}"
    )
    browser.get_log("browser")
    browser.get(path.as_uri())
    browser.switch_to.frame(browser.find_element("tag name", "iframe"))
    browser.implicitly_wait(10)
    rows = browser.find_elements("css selector", "section.jx tbody tr")
    browser.implicitly_wait(0)
    assert len(rows) > 3
    assert "40 of 40 examples" in browser.find_element("css selector", "section.jx").text
    rows[0].click()
    dialog = browser.find_element("css selector", "dialog.jx-detail")
    assert "<b>cat</b>" in dialog.text
    assert browser.execute_script("return window.origin") == "null"
    assert browser.get_log("browser") == []


def test_the_preview_is_of_ten_examples_and_shows_words_as_words():
    page = preview(examples())
    assert page.count("<tr>") == 11
    assert page.count("<img") == 10
    assert "pets: 40 examples, the first of them" in page
    assert "&lt;b&gt;cat&lt;/b&gt;" in page
    assert "<b>cat" not in page
    assert "<script" not in page


def test_the_preview_of_few_texts_and_of_none():
    said = Examples("said", (), lambda at: ["<i>long</i> " * 50 for _ in at], np.arange(1))
    page = preview(said)
    assert "said: 1 example<" in page
    assert "&lt;i&gt;long" in page
    assert len(page) < len(preview(examples()))
    assert "said: 0 examples" in preview(said.head(0))
