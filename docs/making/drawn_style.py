"""The style of what jrecipe draws, out of `jrecipe.draw`, as a style sheet of the site."""

from __future__ import annotations

import re

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from jrecipe.draw import STYLE

NAME = "making/drawn.css"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the sheet before the site's own, which has the last word."""
    config.extra_css.insert(0, NAME)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the sheet; its sizes follow the text around a picture, not the page."""
    text = re.sub(r"(?<=\d)rem", "em", STYLE)
    files.append(File.generated(config, NAME, content=text))
    return files
