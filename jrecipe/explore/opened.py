"""Examples on the screen: their page in a browser or below a notebook's cell, and a short look."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path

import numpy as np

from jrecipe import draw
from jrecipe.draw.text import short_number
from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.page import render
from jrecipe.figures import Pictures, Table

_INLINE_ROWS, _INLINE_MEGABYTES = 2_000, 4.0  # of a page in a notebook, which keeps a copy
_HEIGHT = 720  # pixels of it
_PREVIEWED = 10  # examples
_CUT = 80  # characters of a text


def show_page(examples: Examples) -> Path:
    """Writes the page into a temporary file and opens it; in a notebook shows it below the cell.

    A notebook keeps what it shows: there the page is a smaller one, which says what it leaves out.

    Returns:
      The file, which nobody removes but the system.
    """
    path = examples.save(Path(tempfile.mkdtemp(prefix="jrecipe-")) / "examples.html")
    if in_notebook():
        from IPython.display import display

        page = render(examples, rows=_INLINE_ROWS, megabytes=_INLINE_MEGABYTES)
        display({"text/html": framed(page)}, raw=True)
    else:
        webbrowser.open(path.as_uri())
    return path


def in_notebook() -> bool:
    """Says whether this runs in a notebook's kernel; IPython in a terminal shows no HTML."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    shell = get_ipython()
    return shell is not None and "IPKernelApp" in shell.config


def framed(page: str) -> str:
    """Returns a page as a frame of its own, whose scripts reach nothing of the page around it."""
    # Between single quotes, as a page has few of them and many double ones.
    inside = page.replace("&", "&amp;").replace("'", "&#39;")
    return (
        f"<iframe sandbox='allow-scripts allow-downloads' title='Examples' loading='lazy' "
        f"style='width: 100%; height: {_HEIGHT}px; border: 0' srcdoc='{inside}'></iframe>"
    )


def preview(examples: Examples) -> str:
    """Returns the first few examples as a piece of HTML for a notebook's output cell."""
    some = examples.head(_PREVIEWED)
    count = f"{len(examples):,} example{'' if len(examples) == 1 else 's'}"
    more = ", the first of them" if len(some) < len(examples) else ""
    title = f"{examples.name}: {count}{more}"
    pictures = ""
    columns = {column.name: [_cell(column, i) for i in range(len(some))] for column in some.columns}
    shown = some.shown() if len(some) else []
    if isinstance(shown, np.ndarray):
        gallery = Pictures(title="", images=shown, captions=columns.get("label", ()))
        pictures = draw.html(gallery)
    else:
        columns = {"input": [draw.clean(text, _CUT) for text in shown], **columns}
    rows = list(zip(*columns.values(), strict=True))
    table = Table(title=title, columns=tuple(columns), rows=rows)
    return f"<style>{draw.STYLE}</style>{draw.html(table)}{pictures}"


def _cell(column: Column, row: int) -> str:
    value = column.values[row]
    if column.values.dtype.kind == "f":
        return short_number(float(value), 3)
    return draw.clean(value, _CUT)
