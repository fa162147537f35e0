"""Texts and numbers short and clean enough for a picture."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_TURNING = re.compile(r"[\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Returns `text` without the control characters and lone surrogates that no file can carry."""
    return _UNPRINTABLE.sub("", text)


def clean(text: Any, limit: int | None = None) -> str:
    """Returns `text` as one line that XML and terminals can carry, at most `limit` characters.

    Control characters go, and so do those that turn the direction of what follows.

    Example:
      >>> clean("a   b" + chr(0), limit=3), clean("abcdef", limit=4)
      ('a b', 'abc…')
    """
    line = _TURNING.sub("", printable(" ".join(str(text).split())))
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def tick_text(value: float) -> str:
    """Returns a number as an axis shows it, with a true minus sign and a short exponent."""
    text = f"{value:.6g}" if abs(value) < 1e6 else f"{value:.4g}"
    return re.sub(r"e([+-])0*(\d+)", lambda m: f"e{m[1].replace('+', '')}{m[2]}", text).replace(
        "-", "\N{MINUS SIGN}"
    )


def short_number(value: float, digits: int = 2) -> str:
    """Returns a number in few characters, as for the cell of a matrix; all digits before the point.

    Example:
      >>> [short_number(x) for x in (12.0, 0.98765, -0.5, 1234567.0, float("nan"))]
      ['12', '0.99', '−0.5', '1.2e6', 'NaN']
    """
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    if abs(value) < 100_000 and (value == round(value) or abs(value) >= 10**digits):
        return tick_text(float(round(value)))
    return tick_text(float(f"{value:.{digits}g}"))
