"""The report of `jrecipe inspect` in a real browser, with every example in it (A7)."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from browsers import needs_browser, requests_of
from cli_runs import jrecipe
from PIL import Image

HOSTILE = [
    "</script><script>document.title='taken'</script> a film of some length",
    "<img src=x onerror=\"document.title='taken'\"> a film of some length",
    "\u202eright to left\u202c and 'quotes' and \"more\" of them here",
    "{{ 7 * 7 }} <b>bold</b> & &amp; a film of some length",
    "long " + "word " * 200_000,  # a megabyte
]


def words(count):
    rng = np.random.default_rng(0)
    letters = np.array(list("abcdefghiklmnop"))
    return [
        " ".join("".join(rng.choice(letters, 5)) for _ in range(8)) + " end" for _ in range(count)
    ]


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A table of texts that would like to be markup, under a name that would, too."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a <b>&'film' .csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["text", "label"])
        for i, text in enumerate([*HOSTILE, *words(115)]):
            out.writerow([text, ("<i>good</i>", "bad")[i % 2]])
    return path


@pytest.mark.exhaustive
@needs_browser
def test_hostile_words_are_shown_as_words(hostile, browser, tmp_path):
    from selenium.webdriver.support.ui import WebDriverWait

    result = jrecipe("inspect", hostile.name, "--out", "looked", "--quiet")
    assert result.code in (0, 1), result.err
    page = (tmp_path / "looked" / "report.html").as_uri()
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page)
    assert "taken" not in browser.title
    section = browser.find_element("css selector", "section.jx")
    assert "120 of 120 examples" in section.text
    assert not browser.find_elements("css selector", ".jx img, .jx i, .jx b")
    search = section.find_element("css selector", ".jx-search")
    search.send_keys("document.title")
    shown = "return document.querySelector('.jx tbody').innerText"  # rows come and go meanwhile
    wait = WebDriverWait(browser, 20)
    wait.until(lambda driver: "onerror=" in driver.execute_script(shown))
    asked = [url for url in requests_of(browser, page) if not url.startswith(("data:", "blob:"))]
    assert asked == [page]
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_what_is_written_beside_the_report(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(40):
            pixels = rng.integers(0, 256, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{i}.png")
    copy = (tmp_path / "pets" / "cat" / "0.png").read_bytes()
    (tmp_path / "pets" / "cat" / "1.png").write_bytes(copy)
    result = jrecipe("inspect", "pets", "--out", "looked", "--rows", "30")
    assert "30" in (tmp_path / "looked" / "report.html").read_text()
    with open(tmp_path / "looked" / "copies.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["exact", "exact"]
    with open(tmp_path / "looked" / "suspects.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 80
    report = json.loads((tmp_path / "looked" / "report.json").read_text())
    checks = {each["check"] for found in report["findings"].values() for each in found}
    assert {"copies", "suspects", "trivial-features", "outliers"} <= checks
    assert "What the problem needs" in [section["title"] for section in report["sections"]]
    assert result.code in (0, 1)


@pytest.mark.slow
def test_quick_looks_at_no_example(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = jrecipe("inspect", "digits", "--quick", "--out", "looked", "--quiet")
    assert result.code == 0
    assert sorted(path.name for path in (tmp_path / "looked").iterdir()) == [
        "report.html",
        "report.json",
    ]
    page = (tmp_path / "looked" / "report.html").read_text()
    assert "<script" not in page
    assert "script-src" not in page
