"""The reference: one page for each public module, one heading for each public name.

A name is described once, on the page of `jr` if it is there, and linked from the others.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from public_names import defined, is_module, public

import jrecipe

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

TOP = [name for name in jrecipe.__all__ if not name.startswith("_")]
MODULES = [name for name in TOP if is_module(f"jrecipe.{name}")]
NAMES = [name for name in TOP if name not in MODULES]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages to those of the folder."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def pages() -> dict[str, str]:
    """Returns the text of each page by its name."""
    described: dict[str, str] = {}  # where each definition is described
    texts = {"index": "\n".join(_page_of_jr(described))}
    for module in MODULES:
        texts[module] = "\n".join(_page(module, described))
    return texts


def link(function: str) -> str:
    """Returns a public name as a link to its description.

    Example:
      >>> link("jr.augment.compose")
      '[`jr.augment.compose`][jrecipe.augment.compose.compose]'
    """
    *modules, name = function.split(".")
    return f"[`{function}`][{defined('.'.join(['jrecipe', *modules[1:]]), name)}]"


def _page_of_jr(described: dict[str, str]) -> Iterator[str]:
    yield "# Reference\n\n`import jrecipe as jr` gives what follows, and the modules:\n"
    yield "| module | has |\n| --- | --- |"
    for module in MODULES:
        yield f"| [`jr.{module}`]({module}.md) | {_first_line(module)} |"
    for name in NAMES:
        yield _described(f"jr.{name}", defined("jrecipe", name), described)


def _page(module: str, described: dict[str, str]) -> Iterator[str]:
    yield f"# jr.{module}\n"
    names = public(f"jrecipe.{module}")
    if not names:
        yield f"::: jrecipe.{module}"
        return
    yield f"::: jrecipe.{module}\n    options:\n      members: false\n"
    for name in names:
        yield _described(f"jr.{module}.{name}", defined(f"jrecipe.{module}", name), described)


def _described(name: str, path: str, described: dict[str, str]) -> str:
    if path in described:
        return f"\n## `{name}`\n\nIs [`{described[path]}`][{path}].\n"
    described[path] = name
    return (
        f"\n::: {path}\n    options:\n      heading: {name}\n      show_root_heading: true\n"
        f"      show_root_toc_entry: true\n      toc_label: {name.rpartition('.')[2]}\n"
    )


def _first_line(module: str) -> str:
    return (importlib.import_module(f"jrecipe.{module}").__doc__ or "").partition("\n")[0]
