"""The HTML page: one file, no request, every text shown as text, every link has its end."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import FIGURES, HOSTILE, finding, sample

from jrecipe.checks.result import Verdict
from jrecipe.report import Report, Section

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Reads a page: its tags, the addresses it names, its ids, its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.stack: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in VOID:
            self.stack.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                self.addresses.append(value or "")
            self.addresses += re.findall(r"url\(([^)]*)\)", value or "")
            if name == "id":
                self.ids.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def source() -> str:
    return sample().to_html()


@pytest.fixture(scope="module")
def page(source) -> Page:
    return Page(source)


@pytest.mark.slow
def test_the_page_names_no_address_outside_itself(source, page):
    assert page.addresses
    for address in page.addresses:
        assert address.startswith(("data:", "#")), address
    (style,) = re.findall(r"<style>(.*?)</style>", source, flags=re.DOTALL)
    assert "@import" not in style
    assert "url(" not in style
    assert {"script", "iframe", "object", "embed", "form", "base"}.isdisjoint(page.tags)
    assert not page.handlers


def test_the_page_is_well_formed_and_every_link_has_its_end(page):
    assert page.stack == []
    assert len(page.ids) == len(set(page.ids))
    for address in page.addresses:
        if address.startswith("#"):
            assert address[1:] in page.ids


def test_hostile_texts_are_text(page):
    assert page.text.count(HOSTILE) >= 6  # not markup, and not a template: {{ 7*7 }} stays
    assert page.tags.count("img") == 3 * 10  # the pictures, and no other


def test_the_page_tells_everything(page):
    for part in ("90.0 %", "86.5 to 92.7 %", "B4", "Loss at init", "Divide by 10.", "loss-scale"):
        assert part in page.text
    assert page.text.count("Failed") >= 3  # the answer, the tile, the finding: in words
    assert page.tags.count("figure") == 3 * len(FIGURES)


def test_what_is_wrong_is_open_and_the_rest_is_closed(source):
    opened = re.findall(r'<details class="finding (\w+)" id="[^"]+"( open)?>', source)
    assert [(kind, bool(is_open)) for kind, is_open in opened] == [
        ("failed", True),
        ("warned", True),
        ("skipped", False),
        ("passed", False),
    ]


@pytest.mark.slow
def test_equal_reports_give_equal_pages(source):
    assert sample().to_html() == source


@given(text=st.text(), verdict=st.sampled_from(list(Verdict)))
def test_any_text_in_any_place_gives_a_page_that_can_be_written(text, verdict):
    report = Report(
        task=text,
        findings=(
            finding(
                verdict, item=text, check=text, finding=text, remedy=text, evidence={text: text}
            ),
        ),
        sections=(Section(title=text, text=text),),
        facts={text: text, "command": text},
    )
    page = report.to_html()
    page.encode()
    assert "<script" not in page
    report._repr_html_().encode()
    str(report).encode()


def test_an_empty_report_is_a_page():
    page = Page(Report(task="t", findings=()).to_html())
    assert "Nothing was checked" in page.text


def test_a_page_without_findings_leads_to_none():
    page = Page(Report(task="t", findings=(), sections=(Section(title="It went well"),)).to_html())
    assert "#story" in page.addresses
    assert all(address[1:] in page.ids for address in page.addresses if address.startswith("#"))


def test_a_notebook_gets_the_answer_as_text():
    compact = Page(sample()._repr_html_())
    assert compact.stack == []
    assert HOSTILE in compact.text
    assert "B4 failed" in compact.text
    assert {"script", "style", "img"}.isdisjoint(compact.tags)
