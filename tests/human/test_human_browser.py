"""The page in a real browser: keys, touch, taking back, a reload, the file, and hostile names."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from browsers import PHONE, needs_browser, requests_of
from human_tasks import pictures, texts

from jrecipe.human import answers_for, make_sheet, read_answers, render

pytestmark = needs_browser
HOSTILE = ("<script>alert(1)</script>", '"quoted" & \\ </script>', "\u05e9\u05dc\u05d5\u05dd")


@pytest.fixture
def opened(browser, tmp_path):
    """Returns a function that opens the page of a sheet, with an empty memory, on a phone."""

    def go(sheet):
        path = tmp_path / "page.html"
        path.write_text(render(sheet), encoding="utf-8")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        where = {"behavior": "allow", "downloadPath": str(tmp_path)}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
        browser.get_log("browser")
        browser.get(path.as_uri())
        browser.execute_script("localStorage.clear()")
        browser.refresh()
        return path

    return go


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def count(browser):
    return browser.find_element("id", "count").text


def downloaded(folder):
    for _ in range(100):
        found = list(folder.glob("human-*.json"))
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("nothing was downloaded")


def test_a_person_answers_by_keys_takes_back_goes_on_after_a_reload_and_gets_the_file(
    browser,
    opened,
    tmp_path,
):
    task = pictures()
    sheet = make_sheet(task, n=6)
    opened(sheet)
    assert count(browser) == "0 of 6"
    assert (
        browser.find_element("css selector", "#shown img")
        .get_attribute("src")
        .startswith("data:image/png")
    )
    press(browser, "1", "2", "x")  # x is no key
    assert count(browser) == "2 of 6"
    press(browser, "\ue003")  # Backspace
    assert count(browser) == "1 of 6"
    press(browser, "3", " ")
    browser.find_element("id", "person").send_keys("An na 1")  # keys of a field answer nothing
    assert count(browser) == "3 of 6"
    browser.refresh()
    assert count(browser) == "3 of 6"
    assert browser.find_element("id", "person").get_attribute("value") == "An na 1"
    browser.find_elements("css selector", "#classes button")[0].click()
    press(browser, "2", "2", "2", "2")  # more than there are examples
    assert count(browser) == "6 of 6"
    browser.find_element("id", "save").click()
    file = downloaded(tmp_path)
    assert file.name == "human-toy-val-An-na-1.json"
    answers = answers_for(task, "val", file, task.class_names)
    assert answers.rows.tolist() == sheet.rows[[0, 1, 3, 4, 5]].tolist()
    assert answers.labels.tolist() == [0, 2, 0, 1, 1]
    assert (answers.skipped, answers.person) == (1, "An na 1")
    assert (answers.seconds > 0).all()
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_hostile_names_and_texts_are_shown_as_text_and_nothing_is_requested(
    browser,
    opened,
    tmp_path,
):
    task = texts(HOSTILE)
    path = opened(make_sheet(task, n=3))
    requests_of(browser, path.as_uri())
    browser.refresh()
    assert requests_of(browser, path.as_uri()) == [path.as_uri()]
    shown = [button.text for button in browser.find_elements("css selector", "#classes button")]
    assert shown == [f"{key}{name}" for key, name in zip("123", HOSTILE, strict=True)]
    assert browser.find_element("css selector", "#shown p").text.startswith("<b>text")
    assert not browser.find_elements("css selector", "#shown b")
    press(browser, "1", "2", "3")
    browser.find_element("id", "save").click()
    got = read_answers(downloaded(tmp_path), HOSTILE)
    assert got.labels.tolist() == [0, 1, 2]
    wide = "return document.documentElement.scrollWidth - window.innerWidth"
    assert browser.execute_script(wide) <= 0
    assert browser.get_log("browser") == []


@pytest.mark.slow
def test_many_classes_are_found_by_typing(browser, opened, tmp_path):
    names = tuple(f"class {i}" for i in range(120))
    opened(make_sheet(pictures(names), n=2))
    find = browser.find_element("id", "find")
    find.send_keys("class 117\n")
    assert count(browser) == "1 of 2"
    assert find.get_attribute("value") == ""
    find.send_keys("class 1\n")  # several are left: no answer
    assert count(browser) == "1 of 2"


@pytest.mark.slow
def test_answers_kept_for_other_examples_are_not_taken_over(browser, opened, tmp_path):
    opened(make_sheet(pictures(), n=6))
    press(browser, "1", "1")
    path = tmp_path / "other.html"
    path.write_text(render(make_sheet(pictures(seed=1), n=6)), encoding="utf-8")
    browser.get(path.as_uri())
    assert count(browser) == "0 of 6"
    assert json.loads(browser.execute_script("return JSON.stringify(said)")) == []
    assert np.isfinite(browser.execute_script("return since"))
