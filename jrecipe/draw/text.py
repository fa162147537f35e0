"""Texts and numbers short and clean enough for a picture."""

from __future__ import annotations

import re
from typing import Any

import numpy as np


def clean(text: Any, limit: int | None = None) -> str:
    """Returns `text` as one line that XML and terminals can carry, at most `limit` characters.

    Control characters go, and so do those that turn the direction of what follows.

    Example:
      >>> clean("a   b" + chr(0), limit=3), clean("abcdef", limit=4)
      ('a b', 'abc…')
    """
    line = " ".join(str(text).split())
    line = re.sub(
        r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]", "", line
    )
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def tick_text(value: float) -> str:
    """Returns a number as an axis shows it, with a true minus sign and a short exponent."""
    text = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.4g}"
    return re.sub(r"e([+-])0*(\d+)", lambda m: f"e{m[1].replace('+', '')}{m[2]}", text).replace(
        "-", "\N{MINUS SIGN}"
    )


def short_number(value: float, digits: int = 2) -> str:
    """Returns a number in few characters, as for the cell of a matrix; whole ones up to 99999 whole.

    Example:
      >>> [short_number(x) for x in (12.0, 0.98765, -0.5, 1234567.0, float("nan"))]
      ['12', '0.99', '−0.5', '1.2e6', 'NaN']
    """
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    if abs(value) < 100_000 and value == round(value):
        return tick_text(float(round(value)))
    return tick_text(float(f"{value:.{digits}g}"))
