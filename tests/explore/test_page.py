"""The explorer's page as text: what it holds, what it says of it, and that nothing breaks out."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from jrecipe.explore import page as explorer
from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.page import fragment, render
from jrecipe.types import TaskError


def pictures(n=40, shape=(8, 8), seed=0):
    shades = np.random.default_rng(seed).random((n, *shape)).astype(np.float32)
    columns = (Column("label", np.array(["cat", "dog"])[np.arange(n) % 2]),)
    return Examples("pets", columns, lambda places: shades[places], np.arange(n))


def texts(said, columns=(), **extra):
    return Examples(
        "said", columns, lambda at: [said[i] for i in at], np.arange(len(said)), **extra
    )


def told(page):
    found = re.search(r'<script class="jx-told"[^>]*>(.*?)</script>', page, re.DOTALL)
    return json.loads(found[1])


def sheets(page):
    return re.findall(r'<script class="jx-sheet" type="text/plain">(.*?)</script>', page, re.DOTALL)


def notes(page):
    return [html.unescape(note) for note in re.findall(r"<li>(.*?)</li>", page)]


def shown_pictures(page):
    """Returns all pictures of the page, uint8[n, h, w] or [n, h, w, 3]."""
    data, found = told(page), []
    how = data["picture"]
    for i in range(data["count"]):
        sheet = Image.open(io.BytesIO(base64.b64decode(sheets(page)[i // how["each"]])))
        x, y = i % how["each"] % how["across"], i % how["each"] // how["across"]
        box = (x * how["width"], y * how["height"], (x + 1) * how["width"], (y + 1) * how["height"])
        found.append(np.asarray(sheet.crop(box)))
    return np.stack(found)


@pytest.mark.thin(4)
@pytest.mark.parametrize("shape", [(8, 8), (6, 9, 1), (5, 7, 3), (30, 41)])
def test_small_pictures_are_kept_exactly_and_in_order(shape):
    examples = pictures(250, shape)
    page = render(examples)
    wanted = np.round(examples.shown() * 255).astype(np.uint8).reshape(250, *shape[:2], -1)
    got = shown_pictures(page)
    assert np.array_equal(got.reshape(wanted.shape), wanted)
    assert notes(page) == []


def test_large_pictures_are_scaled_down_and_the_page_says_how():
    page = render(pictures(6, (100, 400, 3)))
    assert told(page)["picture"]["width"] == 256
    assert told(page)["picture"]["height"] == 64
    assert notes(page) == [
        "Pictures are shown at 64x256 pixels, of 100x400.",
        "Pictures are compressed with loss (WebP, quality 85 of 100).",
    ]
    assert shown_pictures(page).shape == (6, 64, 256, 3)


def test_pictures_outside_of_0_and_1_and_without_a_number_are_shown_as_near_as_it_goes():
    values = np.zeros((3, 4, 4), np.float32)
    values[0], values[1], values[2] = 7.0, -1.0, np.nan
    examples = Examples("odd", (), lambda at: values[at], np.arange(3))
    assert [int(each.max()) for each in shown_pictures(render(examples))] == [255, 0, 0]


def test_more_examples_than_rows_are_sampled_by_the_seed_in_their_order():
    examples = pictures(40)
    first, again = render(examples, rows=10, seed=3), render(examples, rows=10, seed=3)
    assert first == again
    places = told(first)["places"]
    assert len(set(places)) == 10
    assert places == sorted(places)
    assert places != told(render(examples, rows=10, seed=4))["places"]
    assert notes(first) == [
        "10 of 40 examples are here, drawn at random: the page holds at most 10."
    ]
    wanted = np.round(examples.take(np.array(places)).shown() * 255).astype(np.uint8)
    assert np.array_equal(shown_pictures(first), wanted)
    assert (
        told(first)["columns"][0]["words"][told(first)["columns"][0]["values"][0]]
        == (["cat", "dog"][places[0] % 2])
    )


def test_every_example_is_as_likely_to_be_drawn():
    examples = texts([str(i) for i in range(10)])
    drawn = [told(render(examples, rows=3, seed=seed))["places"] for seed in range(200)]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    assert counts.min() > 30  # of 60 expected
    assert counts.max() < 90


@pytest.mark.parametrize("megabytes", [0.5, 0.05, 0.005])
def test_pictures_stay_within_the_budget_with_loss_and_then_with_fewer(megabytes):
    examples = pictures(400, (28, 28))  # noise, which hardly compresses
    page = render(examples, megabytes=megabytes)
    assert sum(map(len, sheets(page))) <= megabytes * 1e6
    said = " ".join(notes(page))
    assert ("compressed with loss" in said) == (told(page)["picture"]["type"] == "image/webp")
    assert (f"{told(page)['count']} of 400" in said) == (told(page)["count"] < 400)
    assert (told(page)["count"] < 400) == (megabytes < 0.5)


def test_texts_are_cut_and_their_length_is_told():
    page = render(texts(["short", "x" * 5000, "é" * 2000]))
    assert [len(text) for text in told(page)["texts"]] == [5, 2000, 2000]
    assert told(page)["lengths"] == {"1": 5000}
    assert notes(page) == ["1 text is cut at 2,000 characters; a search looks at what is left."]


@pytest.mark.parametrize(("megabytes", "longest", "count"), [(2, 2000, 300), (0.2, 500, 300)])
def test_many_long_texts_are_cut_shorter_before_fewer_are_shown(megabytes, longest, count):
    page = render(texts(["word " * 600] * 300), megabytes=megabytes)
    assert told(page)["count"] == count
    assert {len(text) for text in told(page)["texts"]} == {longest}


def test_texts_stay_within_the_budget_where_those_measured_were_short(monkeypatch):
    monkeypatch.setattr(explorer, "_MEASURED", 4)
    said = ["a"] * 5000
    said[::100] = ["é" * 2000] * 50
    page = render(texts(said), megabytes=0.02)
    size = len(json.dumps(told(page)["texts"], ensure_ascii=False, separators=(",", ":")).encode())
    assert size <= 0.02e6
    assert 50 < told(page)["count"] < 5000
    assert "drawn at random: more texts would not fit into 0.02 MB." in notes(page)[0]


def test_pictures_stay_within_the_budget_where_those_measured_were_plain(monkeypatch):
    monkeypatch.setattr(explorer, "_MEASURED", 2)
    shades = np.zeros((300, 28, 28), np.float32)
    shades[::3] = np.random.default_rng(0).random((28, 28))
    shades[1::3] = np.random.default_rng(1).random((100, 28, 28))
    examples = Examples("mixed", (), lambda at: shades[at], np.arange(300))
    for seed in range(6):  # some of them measure plain pictures alone
        page = render(examples, megabytes=0.02, seed=seed)
        assert sum(map(len, sheets(page))) <= 0.02e6


def test_numbers_have_six_digits_and_what_is_no_number_stays_apart():
    columns = (
        Column("loss", np.array([1 / 3, np.nan, np.inf, -np.inf, 123456789.0])),
        Column("row", np.array([0, 1, 2, 3, 123456789])),
        Column("hash", np.array([2**53, 1, 2, 3, -(2**60)])),
        Column("suspect", np.array([True, False, True, False, False])),
        Column("label", np.array(["b", "a", "b", "", "a"], object)),
    )
    got = told(render(texts(list("abcde"), columns)))["columns"]
    assert got[0]["values"] == [0.333333, None, "Infinity", "-Infinity", 123457000.0]
    assert (got[1]["kind"], got[1]["values"]) == ("whole", [0, 1, 2, 3, 123456789])
    assert got[2]["kind"] == "word"  # a browser would round them
    assert got[2]["words"][0] == str(2**53)
    assert (got[3]["kind"], got[3]["values"]) == ("truth", [1, 0, 1, 0, 0])
    assert (got[4]["words"], got[4]["values"]) == (["b", "a", ""], [0, 1, 0, 2, 1])


HOSTILE = "</script><script>alert(1)</script><!-- ]]> \"'& \x00\u202e\ud800 end"


def test_hostile_words_end_no_element_and_are_in_the_page_as_data():
    column = Column(HOSTILE, np.array([HOSTILE, "plain", "x" * 10**6], object), note=HOSTILE)
    examples = texts([HOSTILE, "plain", HOSTILE * 100], (column,), notes=(HOSTILE,))
    object.__setattr__(examples, "name", HOSTILE)
    page = render(examples)
    page.encode("utf-8")
    clean = HOSTILE.replace("\x00", "").replace("\ud800", "")
    data = told(page)
    assert data["name"] == data["columns"][0]["name"] == data["columns"][0]["note"] == clean
    assert data["texts"][0] == data["columns"][0]["words"][0] == clean
    assert len(data["columns"][0]["words"][2]) == explorer.LONGEST_WORD
    assert notes(page)[0] == clean
    assert "alert(1)</script>" not in page
    assert page.count("</script>") == page.count("<script ") == 3  # two that run, and the data
    assert len(page) < 2e6


def test_the_policy_allows_the_scripts_by_their_hash_and_nothing_else():
    page = render(pictures())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    scripts = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    ]
    assert len(hashes) == 2
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert parts["script-src"].split() == hashes
    assert parts["default-src"] == "'none'"
    assert "unsafe-eval" not in policy
    part = fragment(pictures())
    assert list(part.hashes) == hashes
    assert list(part.scripts) == scripts
    assert part.body in page
    assert part.style in page
    assert "</style" not in part.style
    assert not re.search(r'(src|href)="https?:', page)


@pytest.mark.parametrize("less", [{"rows": 0}, {"megabytes": 0.0}, {"megabytes": float("nan")}])
def test_no_rows_and_no_budget_are_refused(less):
    with pytest.raises(TaskError, match="positive"):
        render(pictures(), **less)


def test_a_missing_or_strange_table_library_is_told(monkeypatch):
    explorer._table_script.cache_clear()
    monkeypatch.setattr(explorer, "_bundle", lambda name: "var a=1;export{a as other};")
    with pytest.raises(TaskError, match="itables"):
        render(pictures())
    monkeypatch.undo()
    monkeypatch.setattr(explorer.resources, "files", _nothing)
    with pytest.raises(TaskError, match='pip install "itables'):
        explorer._bundle("dt_bundle.js")


def test_what_could_end_the_script_in_the_table_library_is_written_otherwise(monkeypatch):
    explorer._table_script.cache_clear()
    hostile = "var q={},d='<!-- </script><SCRIPT>';export{d as default,q as jQuery};"
    monkeypatch.setattr(explorer, "_bundle", lambda name: hostile)
    script = explorer._table_script()
    explorer._table_script.cache_clear()
    assert "d='\\x3c!-- \\x3c/script>\\x3cSCRIPT>'" in script
    assert script.endswith("{ DataTable: q.fn.dataTable };\n")


def _nothing(package):
    raise ModuleNotFoundError(package)


def test_a_page_of_no_examples_can_be_written():
    page = render(texts([], (Column("loss", np.zeros(0)), Column("row", np.zeros(0, int)))))
    assert told(page)["count"] == 0
    assert told(page)["texts"] == []
