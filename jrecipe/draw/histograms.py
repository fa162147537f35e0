"""Small histograms side by side as inline SVG, by hand: a dozen cost a few kilobytes."""

from __future__ import annotations

from html import escape

import numpy as np

from jrecipe.draw.text import clean, short_number
from jrecipe.figures import Histograms

_WIDTH, _HEIGHT = 168.0, 56.0  # px by nature


def histograms(figure: Histograms) -> str:
    """Returns the histograms as a list, each with caption, range of values and note.

    Example:
      >>> figure = Histograms(title="", counts=[[1, 4]], edges=[[0.0, 1.0, 2.0]], captions=["a"])
      >>> "M0 56V28H84V0H168V56Z" in histograms(figure)
      True
    """
    if not len(figure.counts):
        return '<p class="jr-empty">nothing to draw</p>'
    entries = []
    for i, (counts, edges) in enumerate(zip(figure.counts, figure.edges, strict=True)):
        caption = clean(figure.captions[i], 60) if i < len(figure.captions) else ""
        note = clean(figure.notes[i], 60) if i < len(figure.notes) else ""
        bad = figure.good is not None and i < len(figure.good) and not figure.good[i]
        mark, sign = (' class="jr-bad"', "✗ ") if bad else ("", "")
        entries.append(
            f"<li{mark}><span><b>{escape(caption)}</b></span>"
            f"{_svg(np.asarray(counts, float), np.asarray(edges, float), caption)}"
            + (f'<span class="jr-note">{sign}{escape(note)}</span>' if note else "")
            + "</li>"
        )
    return f'<ul class="jr-hists">{"".join(entries)}</ul>'


def _svg(counts: np.ndarray, edges: np.ndarray, caption: str) -> str:
    low, high = (short_number(float(edge)) for edge in edges[[0, -1]])
    heights = np.sqrt(np.nan_to_num(np.clip(counts, 0, None)))  # beside a peak, tails stay visible
    top = float(heights.max(initial=0.0)) or 1.0
    x = np.linspace(0, _WIDTH, len(counts) + 1)
    y = _HEIGHT * (1 - heights / top)
    steps = "".join(f"V{b:.3g}H{a:.4g}" for a, b in zip(x[1:], y, strict=True))
    zero = ""
    if edges[0] < 0 < edges[-1]:
        at = -edges[0] / (edges[-1] - edges[0]) * _WIDTH
        zero = f'<path d="M{at:.4g} 0V{_HEIGHT:g}" stroke="#888" stroke-dasharray="3 2"/>'
    label = escape(f"Histogram of {caption}: {low} to {high}", quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT + 1:g}" '
        f'role="img" aria-label="{label}">'
        f'<path d="M0 {_HEIGHT:g}{steps}V{_HEIGHT:g}Z" fill="currentColor"/>{zero}'
        f'<path d="M0 {_HEIGHT + 0.5:g}H{_WIDTH:g}" stroke="var(--jr-grid, #8884)"/></svg>'
        f'<span class="jr-range"><i>{low}</i><i>{high}</i></span>'
    )
