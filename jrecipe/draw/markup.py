"""Figures as HTML: plots inline, galleries of pictures and histograms, tables."""

from __future__ import annotations

import base64
import io
import re
from html import escape

import numpy as np

from jrecipe.draw.annotations import Kinds, legend, overlay
from jrecipe.draw.histograms import histograms
from jrecipe.draw.plot import svg
from jrecipe.draw.text import clean
from jrecipe.figures import Figure, Histograms, Pictures, Table


def html(figure: Figure, *, prefix: str | None = None) -> str:
    """Draws any figure as a `<figure>` element, to be styled by `STYLE`.

    Args:
      figure: what to draw; all its texts are shown as text.
      prefix: start of every id in the drawing, for pages that show several.

    Returns:
      HTML that needs nothing from outside: pictures are data URIs, plots inline SVG.
    """
    if isinstance(figure, Pictures):
        kind, body = "pictures", _gallery(figure)
    elif isinstance(figure, Histograms):
        kind, body = "histograms", histograms(figure)
    elif isinstance(figure, Table):
        kind, body = "table", _table(figure)
    else:
        kind, body = "plot", svg(figure, prefix=prefix)
    caption = f"<figcaption>{escape(clean(figure.title))}</figcaption>" if figure.title else ""
    return f'<figure class="jr-figure jr-{kind}">{caption}{body}</figure>'


def _gallery(figure: Pictures) -> str:
    images = np.asarray(figure.images)
    if not images.size or images.ndim not in (3, 4):
        return '<p class="jr-empty">nothing to draw</p>'
    captions = [*figure.captions, *[""] * len(images)]
    given = figure.annotations
    kinds = Kinds() if given is None else Kinds(given.names)
    entries = []
    for i, image in enumerate(images):
        caption = clean(captions[i], 200)
        frame, sign = "", ""
        if figure.good is not None and i < len(figure.good):
            good = bool(figure.good[i])
            frame = ' class="jr-good"' if good else ' class="jr-bad"'
            sign = (
                '<b role="img" aria-label="right">✓</b> '
                if good
                else '<b role="img" aria-label="wrong">✗</b> '
            )
        pixels = ' class="jr-pixels"' if max(image.shape[:2]) <= 96 else ""
        alt = escape(caption or f"picture {i + 1}", quote=True)
        height, width = image.shape[:2]
        picture = (
            f'<img{pixels} alt="{alt}" width="{width}" height="{height}" '
            f'style="height:auto" src="{png(image)}">'
        )
        if given is not None:
            picture = f'<div class="jr-marked">{picture}{overlay(given.marks[i], kinds)}</div>'
        entries.append(f"<li{frame}>{picture}<span>{sign}{escape(caption)}</span></li>")
    listed = "".join(entries)
    if given is None:
        return f'<ul class="jr-gallery">{listed}</ul>'
    names = [name for marks in given.marks for name in marks.names]
    wide = " jr-wide" if names else ""
    said = f'<p class="jr-said">{escape(clean(given.note))}</p>' if given.note else ""
    return f'<ul class="jr-gallery{wide}">{listed}</ul>{legend(names, kinds)}{said}'


def png(image: np.ndarray, largest: int = 256) -> str:
    """Returns a picture [h, w] or [h, w, c], values in [0, 1], as an address that holds a PNG.

    Args:
      image: the picture; other than three channels are averaged.
      largest: most pixels along a side; larger ones are made smaller.
    """
    from PIL import Image

    image = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=1.0, neginf=0.0)
    if image.ndim == 3 and image.shape[-1] != 3:
        image = image.mean(axis=-1)
    levels = np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)
    picture = Image.fromarray(levels)
    picture.thumbnail((largest, largest))
    out = io.BytesIO()
    picture.save(out, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _table(figure: Table) -> str:
    if not figure.rows:
        return '<p class="jr-empty">nothing to show</p>'
    width = max(len(figure.columns), *(len(row) for row in figure.rows))
    cells = [[clean(cell) for cell in row] + [""] * (width - len(row)) for row in figure.rows]
    number = re.compile(r"[-+−]?[\d.,]+(e[-+]?\d+)?\s*(%|s|ms)?|NaN|–|")
    right = [all(number.fullmatch(row[j]) for row in cells) for j in range(width)]
    mark = [' class="jr-number"' if is_number else "" for is_number in right]
    header = [clean(name) for name in figure.columns] + [""] * (width - len(figure.columns))
    head = "".join(f'<th scope="col"{mark[j]}>{escape(name)}</th>' for j, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{mark[j]}>{escape(c)}</td>" for j, c in enumerate(row)) + "</tr>"
        for row in cells
    )
    return (
        '<div class="jr-scroll" tabindex="0" role="region" '
        f'aria-label="{escape(clean(figure.title), quote=True)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
