"""The explorer in a real browser: sort, filter, search, brush, look, save, and hostile words."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from browsers import PHONE, needs_browser, requests_of

from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.page import render

pytestmark = needs_browser
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
N = 400
NAMES = np.array(["cat", "dog", "eel"])
HOSTILE = "</script><img src=x onerror=alert(1)><b>bold</b> \"'& \x00\u202eabc"


def pets(n=N):
    """Returns grey pictures, each of one shade: the row over n."""
    rows = np.arange(n)
    loss = np.round(np.random.default_rng(0).random(n), 4)
    loss[:7] = np.nan
    columns = (
        Column("label", NAMES[rows % 3], "as given"),
        Column("split", np.where(rows < n // 2, "train", "val")),
        Column("row", rows),
        Column("loss", loss, "in nats"),
        Column("suspect", rows % 10 == 0),
    )

    def show(places):
        return np.broadcast_to((places / 2 / n)[:, None, None], (len(places), 6, 6)).astype(
            np.float32
        )

    return Examples("pets", columns, show, rows * 2)


@pytest.fixture
def opened(browser, tmp_path):
    """Returns a function that opens the page of examples."""

    def go(examples, size=DESK):
        path = tmp_path / "page.html"
        path.write_text(render(examples), encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        where = {"behavior": "allow", "downloadPath": str(tmp_path)}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
        browser.get_log("browser")
        browser.get(path.as_uri())
        settle(browser)
        return path

    yield go
    assert browser.get_log("browser") == []


def until(browser, script, *given):
    for _ in range(100):
        got = browser.execute_script(script, *given)
        if got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"this never came true: {script}")


def settle(browser):
    until(
        browser,
        "const { dataset } = document.querySelector('.jx');"
        "return 'ready' in dataset && !('waits' in dataset)",
    )


def find(browser, selector, which=0):
    return browser.find_elements("css selector", selector)[which]


def cells(browser, name):
    """Returns the texts of a column, of the rows that are in the document."""
    return browser.execute_script(
        """
        const heads = [...document.querySelectorAll('.dt-scroll-head th')];
        const at = heads.findIndex((head) => head.textContent === arguments[0]);
        const rows = [...document.querySelectorAll('tr[data-at]')];
        return rows.map((row) => row.children[at].textContent);
        """,
        name,
    )


def shows(browser, name, wanted):
    """Waits until a column begins with some texts."""
    for _ in range(200):
        got = cells(browser, name)[: len(wanted)]
        if got == wanted:
            return
        time.sleep(0.05)
    assert got == wanted


def head(browser, name):
    heads = browser.find_elements("css selector", ".dt-scroll-head th")
    return next(one for one in heads if one.text == name)


def facet(browser, name):
    return next(
        one
        for one in browser.find_elements("css selector", ".jx-facet")
        if one.find_element("css selector", "legend").text == name
    )


def value(browser, name, text):
    buttons = facet(browser, name).find_elements("css selector", ".jx-class")
    return next(one for one in buttons if text == one.get_attribute("title"))


def count(browser):
    settle(browser)
    return find(browser, ".jx-count").text


def search(browser, words):
    field = find(browser, ".jx-search")
    field.clear()
    field.send_keys(words)
    time.sleep(0.3)
    settle(browser)


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def drag(browser, element, start, end):
    """Drags over an element, from a share of its width to another."""
    from selenium.webdriver import ActionChains

    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    width = element.size["width"]
    actions = ActionChains(browser, duration=30)
    actions.move_to_element_with_offset(element, int((start - 0.5) * width), 0).click_and_hold()
    actions.move_by_offset(int((end - start) / 2 * width), 0)
    actions.move_by_offset(int((end - start) / 2 * width), 0).release().perform()
    settle(browser)


def downloaded(folder, name):
    for _ in range(200):
        if (folder / name).exists():
            return json.loads((folder / name).read_text(encoding="utf-8"))
        time.sleep(0.05)
    raise AssertionError(f"{name} was not downloaded; there are {list(folder.iterdir())}")


def test_columns_are_sorted_by_their_heads_and_outliers_stand_first(browser, opened):
    known = [f"{each:g}" for each in np.sort(pets()["loss"][7:])]
    opened(pets())
    assert cells(browser, "row")[:3] == ["0", "1", "2"]
    head(browser, "loss").click()
    shows(browser, "loss", known[:9])
    head(browser, "loss").click()
    shows(browser, "loss", known[::-1][:9])
    head(browser, "label").click()
    shows(browser, "label", ["cat"] * 9)
    lowest, highest = facet(browser, "loss").find_elements("css selector", ".jx-link")
    browser.execute_script("arguments[0].click()", lowest)
    shows(browser, "loss", known[:9])
    assert lowest.get_attribute("aria-pressed") == "true"
    assert highest.get_attribute("aria-pressed") == "false"
    press_end(browser)  # rows without a number come last, whichever way
    assert cells(browser, "loss")[-8:] == [known[-1], *["—"] * 7]
    browser.execute_script("arguments[0].click()", highest)
    shows(browser, "loss", known[::-1][:9])
    press_end(browser)
    assert cells(browser, "loss")[-8:] == [known[0], *["—"] * 7]


def press_end(browser):
    browser.execute_script("document.querySelector('.jx-open').focus()")
    press(browser, "\ue010")  # End
    until(browser, f"return document.querySelector('tr[data-at=\"{N - 1}\"]')")


def test_values_are_chosen_by_click_and_the_other_counts_follow(browser, opened):
    opened(pets())
    assert count(browser) == "400 of 400 examples shown"
    assert not find(browser, ".jx-clear").is_enabled()
    value(browser, "label", "dog").click()
    assert count(browser) == "133 of 400 examples shown"
    assert set(cells(browser, "label")) == {"dog"}
    value(browser, "label", "eel").click()
    assert count(browser) == "266 of 400 examples shown"
    assert set(cells(browser, "label")) == {"dog", "eel"}
    value(browser, "suspect", "true").click()
    assert count(browser) == "26 of 400 examples shown"
    # Its own filter does not count for a facet, all others do.
    counts = {
        name: value(browser, "label", name).find_element("css selector", ".jx-n").text
        for name in NAMES
    }
    wanted = {name: str(int((pets()["label"][::10] == name).sum())) for name in NAMES}
    assert counts == wanted
    value(browser, "label", "dog").click()
    value(browser, "label", "eel").click()
    assert count(browser) == "40 of 400 examples shown"
    find(browser, ".jx-clear").click()
    assert count(browser) == "400 of 400 examples shown"
    assert not browser.find_elements("css selector", ".jx-class[aria-pressed=true]")


def test_a_search_looks_at_all_columns_and_needs_every_word(browser, opened):
    opened(pets())
    search(browser, "DOG")
    assert count(browser) == "133 of 400 examples shown"
    search(browser, "dog val")
    assert count(browser) == "66 of 400 examples shown"
    assert set(cells(browser, "split")) == {"val"}
    search(browser, "cat 399")
    assert cells(browser, "row") == ["399"]
    search(browser, "zebra")
    assert count(browser) == "0 of 400 examples shown"
    assert "No example fits." in find(browser, ".jx-table").text
    assert not find(browser, ".jx-save").is_enabled()


def test_a_search_finds_a_phrase_in_texts(browser, opened):
    said = ["good film", "film good", "a GOOD  film", "bad"]
    opened(Examples("said", (), lambda at: [said[i] for i in at], np.arange(4)))
    search(browser, "good film")
    assert count(browser) == "3 of 4 examples shown"
    search(browser, '"good film"')
    assert count(browser) == "1 of 4 examples shown"


def test_a_drag_over_a_histogram_filters_and_the_others_follow(browser, opened):
    opened(pets())
    bars = facet(browser, "row").find_element("css selector", ".jx-histogram")
    other = facet(browser, "loss").find_element("css selector", ".jx-front")
    before = other.get_attribute("d")
    drag(browser, bars, 0.25, 0.75)
    low, high = (
        float(one.get_attribute("value"))
        for one in facet(browser, "row").find_elements("css selector", "input")
    )
    assert 80 <= low <= 105
    assert 295 <= high <= 320
    assert count(browser) == f"{high - low + 1:.0f} of 400 examples shown"
    assert cells(browser, "row")[0] == f"{low:.0f}"
    assert other.get_attribute("d") != before
    back = facet(browser, "loss").find_element("css selector", ".jx-back")
    assert back.get_attribute("d") == before  # all of them stay visible behind
    bars.click()  # ends the selection
    assert count(browser) == "400 of 400 examples shown"
    assert other.get_attribute("d") == before


def test_ranges_can_be_typed(browser, opened):
    opened(pets())
    low, high = facet(browser, "row").find_elements("css selector", "input")
    low.send_keys("10\n")
    assert count(browser) == "390 of 400 examples shown"
    high.send_keys("19\n")
    assert count(browser) == "10 of 400 examples shown"
    assert cells(browser, "row") == [str(i) for i in range(10, 20)]
    facet(browser, "row").find_element("css selector", ".jx-undo").click()
    assert count(browser) == "400 of 400 examples shown"
    assert low.get_attribute("value") == high.get_attribute("value") == ""
    loss = facet(browser, "loss").find_elements("css selector", "input")[0]
    loss.send_keys("-1\n")  # the seven without a number are in no range
    assert count(browser) == "393 of 400 examples shown"


def test_a_heavy_tail_is_one_bar_that_can_be_chosen(browser, opened):
    values = np.linspace(0.0, 1.0, 1000)
    values[:3] = 1e6, 2e6, np.inf
    said = [str(i) for i in range(1000)]
    opened(
        Examples(
            "tail", (Column("loss", values),), lambda at: [said[i] for i in at], np.arange(1000)
        )
    )
    box = facet(browser, "loss")
    assert box.find_element("css selector", ".jx-axis").text == "0.003003\n0.996997 … ∞"
    drag(browser, box.find_element("css selector", ".jx-histogram"), 0.98, 0.995)
    shown = cells(browser, "loss")
    assert "1000000" in shown
    assert "∞" in shown
    assert len(shown) < 12
    drag(browser, box.find_element("css selector", ".jx-histogram"), 0.02, 0.9)
    assert int(count(browser).split()[0]) > 800
    assert "1000000" not in cells(browser, "loss")


def test_an_example_is_shown_large_and_the_arrows_lead_on(browser, opened):
    opened(pets())
    value(browser, "label", "dog").click()
    settle(browser)
    find(browser, "tr[data-at='1'] td", 3).click()
    dialog = find(browser, "dialog")
    assert dialog.is_displayed()
    assert "Example 2 of 133" in dialog.text
    facts = dict(
        zip(
            [one.text for one in browser.find_elements("css selector", "dialog dt")],
            [one.text for one in browser.find_elements("css selector", "dialog dd")],
            strict=True,
        )
    )
    wanted = {"label\nas given": "dog", "split": "train", "row": "4", "loss\nin nats": "—"}
    assert facts == wanted | {"suspect": "false"}
    until(browser, "return 'drawn' in document.querySelector('dialog canvas').dataset")
    pixel = """
        const canvas = document.querySelector('dialog canvas');
        return [...canvas.getContext('2d').getImageData(3, 3, 1, 1).data];
    """
    assert browser.execute_script(pixel) == [round(4 / N * 255)] * 3 + [255]
    press(browser, "\ue015")  # down
    assert "Example 3 of 133" in dialog.text
    press(browser, "\ue012", "\ue012", "\ue012")  # left, to the first and no further
    assert "Example 1 of 133" in dialog.text
    press(browser, "\ue00c")  # Escape
    assert not dialog.is_displayed()
    press(browser, "\ue015", "\ue015", "\ue007")  # down twice in the table, Enter
    assert "Example 3 of 133" in dialog.text


@pytest.mark.slow
def test_what_is_shown_is_saved_with_the_filter_in_words(browser, opened, tmp_path):
    examples = pets()
    opened(examples)
    value(browser, "label", "dog").click()
    low, high = facet(browser, "row").find_elements("css selector", "input")
    low.send_keys("300\n")
    high.send_keys("310\n")
    head(browser, "row").click()
    shows(browser, "row", ["301"])
    head(browser, "row").click()
    shows(browser, "row", ["310"])
    find(browser, ".jx-save").click()
    got = downloaded(tmp_path, "pets-selection.json")
    rows = [310, 307, 304, 301]
    assert got["rows"] == [{"split": "val", "row": row} for row in rows]
    assert got["places"] == [2 * row for row in rows]
    assert got["filter"] == "label is dog; row from 300 to 310"
    assert got["sort"] == ["row descending"]
    assert (got["name"], got["count"], got["in_page"], got["in_data"]) == ("pets", 4, N, N)
    browser.refresh()
    assert count(browser) == "400 of 400 examples shown"


@pytest.mark.slow
def test_hostile_words_are_shown_as_text_and_nothing_is_requested(
    browser,
    opened,
    tmp_path,
):
    long = "word " * 200_000
    columns = (
        Column(HOSTILE, np.array([HOSTILE, long, "plain"], object), HOSTILE),
        Column("x", np.arange(3)),
    )
    said = [HOSTILE, long, "<i>it</i>"]
    examples = Examples(
        HOSTILE, columns, lambda at: [said[i] for i in at], np.arange(3), (HOSTILE,)
    )
    path = opened(examples)
    requests_of(browser, path.as_uri())
    browser.refresh()
    settle(browser)
    assert requests_of(browser, path.as_uri()) == [path.as_uri()]
    clean = HOSTILE.replace("\x00", "")
    assert not browser.find_elements("css selector", ".jx img, .jx b, .jx i")
    text = "return document.querySelector(arguments[0]).textContent"
    for selector in (
        ".jx-title",
        ".jx-notes li",
        ".jx-facet legend",
        ".jx-facet .jx-soft",
        ".jx-class .jx-name",
        ".dt-scroll-head th:nth-child(2)",
        "tr[data-at] td:nth-child(1)",
        "tr[data-at] td:nth-child(2)",
    ):
        assert browser.execute_script(text, selector) == clean, selector
    find(browser, ".jx-open").click()
    for selector in ("dialog .jx-full", "dialog dd"):
        assert browser.execute_script(text, selector) == clean
    press(browser, "\ue015")
    assert "The first 2,000 of 1,000,000 characters." in find(browser, "dialog").text
    press(browser, "\ue00c")
    find(browser, ".jx-save").click()
    saved = downloaded(tmp_path, "script-img-src-x-onerror-alert-1-b-bold-b-abc-selection.json")
    assert saved["places"] == [0, 1, 2]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_50_000_examples_work_and_few_rows_are_in_the_document(browser, opened):
    opened(pets(50_000))
    side = (
        "const box = document.querySelector('.jx-facets'); return box.scrollWidth - box.clientWidth"
    )
    assert browser.execute_script(side) <= 0
    assert count(browser) == "50,000 of 50,000 examples shown"
    rows = "return document.querySelectorAll('.jx-table tr').length"
    assert 5 < browser.execute_script(rows) < 200
    head(browser, "row").click()
    until(browser, "return document.querySelector('th[aria-sort=ascending]')")
    head(browser, "row").click()
    shows(browser, "row", ["49999", "49998"])
    value(browser, "label", "dog").click()
    assert count(browser) == "16,667 of 50,000 examples shown"
    browser.execute_script("document.querySelector('.dt-scroll-body').scrollTop = 1e9")
    until(browser, "return document.querySelector('tr[data-at=\"16666\"]')")
    assert cells(browser, "row")[-1] == "1"
    assert browser.execute_script(rows) < 200
    until(
        browser,
        "const all = [...document.querySelectorAll('tr canvas')];"
        "return all.length && all.every((one) => 'drawn' in one.dataset)",
    )
    search(browser, "val true 4999")
    assert set(cells(browser, "suspect")) == {"true"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pictures", "texts"])
def test_a_phone_needs_no_sideways_scroll(browser, opened, kind):
    examples = pets()
    if kind == "texts":
        said = ["a long text without an end " * 30] * N
        columns = examples.columns
        examples = Examples("x" * 200, columns, lambda at: [said[i] for i in at], np.arange(N))
    opened(examples, PHONE)
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    assert browser.execute_script(wide) <= 0
    assert not find(browser, ".jx-facet").is_displayed()  # the table comes first
    find(browser, ".jx-side summary").click()
    assert find(browser, ".jx-facet").is_displayed()
    assert browser.execute_script(wide) <= 0
    find(browser, ".jx-open").click()
    assert find(browser, "dialog").is_displayed()
    assert browser.execute_script(wide) <= 0
    box = find(browser, "dialog").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    press(browser, "\ue00c")
    find(browser, ".jx-side summary").click()
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", DESK)
    until(browser, "return document.querySelector('.jx-side').open")  # nothing to click there


@pytest.mark.exhaustive
@pytest.mark.slow
def test_no_examples_is_a_page_that_says_so(browser, opened):
    columns = (Column("loss", np.zeros(0)), Column("label", np.zeros(0, "U1")))
    opened(Examples("none", columns, lambda at: [], np.zeros(0, int)))
    assert count(browser) == "0 of 0 examples shown"
    assert "No example fits." in find(browser, ".jx-table").text
