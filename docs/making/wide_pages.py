"""Pages that stand by themselves need no list of pages beside them."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Hides the list; the tabs at the top lead to these pages."""
    if page.parent is None:
        page.meta.setdefault("hide", ["navigation"])
    return markdown
