"""The page in a real browser: no error, no request, no sideways scrolling on a phone."""

from __future__ import annotations

import pytest
from browsers import PHONE, needs_browser, requests_of
from report_samples import sample

pytestmark = needs_browser


@pytest.fixture(scope="module")
def opened(browser, tmp_path_factory):
    """The page, opened 375 px wide with every finding unfolded; yields its address."""
    path = sample().save(tmp_path_factory.mktemp("run"))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    browser.get(path.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return path.as_uri()


def test_the_console_stays_empty_and_nothing_is_requested(browser, opened):
    assert browser.get_log("browser") == []
    asked = requests_of(browser, opened)
    assert opened in asked  # the log does see requests
    assert [url for url in asked if not url.startswith("data:") and url != opened] == []


def test_a_phone_shows_it_without_sideways_scrolling(browser, opened):
    wide, window = browser.execute_script(
        "return [document.documentElement.scrollWidth, window.innerWidth]"
    )
    assert window == 375
    assert wide <= window
    beyond = browser.execute_script(
        """return [...document.querySelectorAll('main *')]
             .filter(e => !e.closest('.jr-scroll') && !e.closest('svg'))
             .filter(e => e.getBoundingClientRect().right > innerWidth + 1)
             .map(e => e.outerHTML.slice(0, 80))"""
    )
    assert beyond == []


def test_every_picture_is_drawn(browser, opened):
    sizes = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth])"
    )
    assert sizes
    assert all(complete and width > 0 for complete, width in sizes)
    assert browser.execute_script(
        "return [...document.querySelectorAll('figure svg')]"
        ".every(s => s.getBoundingClientRect().height > 20)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, opened, scheme):
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    pairs = browser.execute_script(
        """const rgb = c => c.match(/[\\d.]+/g).map(Number);
           const light = c => { const [r, g, b] = rgb(c).slice(0, 3).map(v => (v /= 255) <= .04045
             ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126*r + .7152*g + .0722*b; };
           const ground = e => { for (; e; e = e.parentElement) {
             const c = getComputedStyle(e).backgroundColor;
             if ((rgb(c)[3] ?? 1) === 1) return c; } return 'rgb(255, 255, 255)'; };
           return [...document.querySelectorAll('main p, main dt, main dd, main b, main .word, ' +
             'main .badge, main .said, main th, main td, main figcaption, main a')].map(e => {
             const [a, b] = [light(getComputedStyle(e).color), light(ground(e))];
             const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
             return [contrast, e.outerHTML.slice(0, 60)]; })"""
    )
    assert len(pairs) > 50
    assert [pair for pair in pairs if pair[0] < 4.5] == []
