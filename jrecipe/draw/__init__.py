"""Draws the figures of `jrecipe.figures` as SVG and HTML, for light and dark pages alike.

Colours are CSS variables with a fallback (`var(--jr-1, #0072b2)`) and text is text, so that one
drawing serves a light page, a dark page and paper. The palette is that of Okabe and Ito, "Color
Universal Design", 2008, which people with any kind of colour vision can tell apart.
"""

from jrecipe.draw.markup import html, png
from jrecipe.draw.plot import svg
from jrecipe.draw.style import STYLE
from jrecipe.draw.text import clean, short_number

__all__ = ["STYLE", "clean", "html", "png", "short_number", "svg"]
