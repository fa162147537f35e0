"""Builds the documentation as a site, strictly, and sees that no page loads a thing from elsewhere.

Usage: python .ci/built_site.py [FOLDER]. Without a folder the site is built into a temporary one.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What a browser fetches by itself; links in a text are fetched when a reader follows them.
LOADS = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
HARMLESS = {"alternate", "author", "canonical", "help", "license", "next", "prev"}  # of <link>
OUTSIDE = re.compile(r"\s*(https?:)?//", re.IGNORECASE)
IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?\s*((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)


def main() -> int:
    """Builds and looks; returns 1 if a page loads something from outside, or mkdocs' own code."""
    with tempfile.TemporaryDirectory() as temporary:
        site = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        built = subprocess.run(
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "cpu", "NO_MKDOCS_2_WARNING": "1"},
        )
        if built.returncode:
            return built.returncode
        found = list(outside(site))
        for place, what in found:
            print(f"{place}: loads {what}")
        pages = sum(1 for _ in site.rglob("*.html"))
        print(f"{pages} pages, {len(found)} things from elsewhere")
        return 1 if found else 0


def outside(site: Path) -> Iterator[tuple[str, str]]:
    """Yields files of a built site and what each would have a browser load from another host."""
    for file in sorted(site.rglob("*")):
        if file.suffix not in (".html", ".css"):
            continue
        text = file.read_text(encoding="utf-8")
        found = loaded(text) if file.suffix == ".html" else IN_STYLE.findall(text)
        yield from ((str(file.relative_to(site)), what) for what in found)


def loaded(page: str) -> list[str]:
    """Returns the addresses on other hosts that a page loads by itself.

    Example:
      >>> loaded('<a href="https://a.org">a</a> <script src="//b.org/b.js"></script>')
      ['//b.org/b.js']
    """
    reader = _Reader()
    reader.feed(page)
    return reader.found


class _Reader(HTMLParser):
    """Collects what attributes and styles load, and diagrams, which need a script."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        self.found += IN_STYLE.findall(given.get("style", ""))
        if "mermaid" in given.get("class", "").split():
            self.found.append("mermaid, which the theme fetches for diagrams")
        if tag == "link" and set(given.get("rel", "").split()) <= HARMLESS:
            return
        for name in LOADS.get(tag, ()):
            if OUTSIDE.match(given.get(name, "")):
                self.found.append(given[name].strip())

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if self.in_style:
            self.found += IN_STYLE.findall(data)


if __name__ == "__main__":
    sys.exit(main())
