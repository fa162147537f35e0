"""The site: every page can be reached, every item and public name is on it, nothing is fetched."""

from __future__ import annotations

import doctest
import functools
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import api_pages
import built_site
import pytest
import recipe_page
import yaml
from public_names import defined, is_module, public

import jrecipe as jr
from jrecipe.cli.items import known_items
from jrecipe.report.items import NAMES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MAKING = DOCS / "making"
LARGEST, ALL_PICTURES = 60_000, 600_000  # bytes
TOP = [name for name in jr.__all__ if not name.startswith("_")]


@functools.cache
def settings() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def in_nav(entries: Any) -> Iterator[str]:
    if isinstance(entries, str):
        yield entries
    else:
        for entry in entries.values() if isinstance(entries, dict) else entries:
            yield from in_nav(entry)


def test_every_page_and_notebook_is_in_the_nav_and_nothing_else():
    pages = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    notebooks = {str(p.relative_to(DOCS).with_suffix(".md")) for p in DOCS.rglob("*.ipynb")}
    made = {
        f"api/{name}.md"
        for name in ("index", *TOP)
        if name == "index" or is_module(f"jrecipe.{name}")
    }
    listed = list(in_nav(settings()["nav"]))
    assert sorted(listed) == sorted(pages | notebooks | made)


def test_the_recipes_items_have_all_their_names():
    assert {item.id for item in known_items()} == set(NAMES)


def test_every_item_is_on_the_recipe_page_with_what_does_it():
    text = "\n".join(recipe_page.items_text())
    for item in known_items():
        part = re.search(rf"### {item.id} {re.escape(item.name)} (.*?)(?=\n##|\Z)", text, re.S)
        assert part, item.id
        for said in (item.asks, item.check, item.function, item.command):
            assert said in part[1], (item.id, said)
    assert recipe_page.MARK in (DOCS / "recipe.md").read_text()


def test_an_item_without_a_picture_says_so_and_no_picture_is_left_over():
    text = "\n".join(recipe_page.items_text())
    ids = {item.id for item in known_items()}
    drawn = {path.stem for path in recipe_page.DRAWN.glob("*.html")}
    assert drawn
    assert not drawn & set(recipe_page.SHOWN)
    assert drawn | set(recipe_page.SHOWN) <= ids
    assert text.count(recipe_page.NO_PICTURE) == len(ids - drawn - set(recipe_page.SHOWN))
    assert all((DOCS / file).is_file() for file, _ in recipe_page.SHOWN.values())
    sizes = [path.stat().st_size for path in recipe_page.DRAWN.glob("*.html")]
    assert max(sizes) <= LARGEST
    assert sum(sizes) <= ALL_PICTURES


def test_how_a_check_decides_is_read_from_the_page_of_the_checks():
    found = recipe_page.how_decided((DOCS / "checks.md").read_text())
    checked = {item.id for item in known_items() if item.check}
    assert checked == set(found)
    assert len(found["A1"]) == 2


@pytest.mark.parametrize("module", [name for name in TOP if is_module(f"jrecipe.{name}")])
def test_the_reference_finds_where_each_public_name_is_defined(module):
    for name in public(f"jrecipe.{module}"):
        *path, last = defined(f"jrecipe.{module}", name).split(".")
        there = importlib.import_module(".".join(path))
        assert getattr(there, last) is getattr(getattr(jr, module), name), name


def test_the_reference_describes_every_public_name_once():
    pages = api_pages.pages()
    described = re.findall(r"^::: (\S+)$", "\n".join(pages.values()), re.MULTILINE)
    assert len(described) == len(set(described))
    for name in TOP:
        assert name in pages or f"::: {defined('jrecipe', name)}\n" in pages["index"]


@pytest.mark.parametrize("name", ["public_names", "recipe_page", "api_pages", "notebook_pages"])
def test_the_examples_of_what_makes_the_site_hold(name):
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize(
    ("page", "loads"),
    [
        ('<script src="https://a.org/a.js"></script>', ["https://a.org/a.js"]),
        ('<link rel="stylesheet" href="//a.org/a.css">', ["//a.org/a.css"]),
        ('<link rel="preconnect" href="https://fonts.org">', ["https://fonts.org"]),
        ('<img src=" HTTP://a.org/a.png">', ["HTTP://a.org/a.png"]),
        ("<style>@import 'https://a.org/a.css';</style>", ["https://a.org/a.css"]),
        ('<p style="background: url(//a.org/a.png)">', ["//a.org/a.png"]),
        ('<pre class="mermaid">graph</pre>', ["mermaid, which the theme fetches for diagrams"]),
        ('<a href="https://a.org">a</a><link rel="canonical" href="https://a.org">', []),
        ('<script src="assets/a.js"></script><img src="data:image/png;base64,AA==">', []),
        ("<code>url(https://a.org/a.png)</code>", []),
    ],
)
def test_what_a_page_loads_from_elsewhere_is_seen(page, loads):
    assert built_site.loaded(page) == loads


def test_notebooks_are_kept_without_outputs():
    for path in DOCS.rglob("*.ipynb"):
        cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        assert cells
        assert all(not c["outputs"] and c["execution_count"] is None for c in cells), path.name


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient: pip install 'jrecipe[test]'")
    pytest.importorskip("ipykernel", reason="needs ipykernel: pip install 'jrecipe[test]'")
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    done = nbclient.NotebookClient(notebook, timeout=600, resources=where).execute()
    assert any("text/html" in o.get("data", {}) for c in done.cells for o in c.get("outputs", []))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("mkdocs.config", reason="needs mkdocs: pip install 'jrecipe[docs]'")
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "built_site.py", tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "B12 Dependencies" in (tmp_path / "recipe.html").read_text()
    assert (tmp_path / "notebooks" / "own_model.html").is_file()
