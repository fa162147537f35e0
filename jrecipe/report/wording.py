"""Numbers and facts in words: sensible digits, intervals, one command line."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from jrecipe.draw.text import clean


def number(value: Any) -> str:
    """Returns a value as a reader wants it: four significant digits, thousands apart, yes and no.

    Example:
      >>> [number(x) for x in (0.98888889, 2.3e-7, 1797, True, None, float("nan"), "abc")]
      ['0.9889', '2.3e-7', '1797', 'yes', 'no value', 'NaN', 'abc']
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if isinstance(value, float) and value == round(value) and abs(value) < 1e15:
        value = round(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10_000 else f"{value:,}".replace(",", "\u202f")
    if isinstance(value, float):
        if 1e-4 <= abs(value) < 10_000:
            return f"{value:.4g}"
        if 10_000 <= abs(value) < 1e9:
            return number(round(value))
        digits, _, power = f"{value:.3e}".partition("e")
        return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
    return clean(value)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Returns the 95 % interval of a share that was measured on `n` independent examples.

    Args:
      share: the share measured, in [0, 1].
      n: number of examples, > 0.

    References:
      Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Example:
      >>> tuple(round(x, 3) for x in wilson(356 / 360, 360))
      (0.972, 0.996)
    """
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def scores(test: Mapping[str, float] | None) -> list[tuple[str, str, str]]:
    """Returns (name, value, note) of each number measured on the test split, accuracy first.

    Example:
      >>> scores({"loss": 0.04321, "accuracy": 356 / 360, "n": 360})[0]
      ('Test accuracy', '98.9 %', '95 % interval 97.2 to 99.6 %')
    """
    rest = dict(test or {})
    n = rest.pop("n", None)
    shown = []
    for name, value in sorted(rest.items(), key=lambda entry: entry[0] != "accuracy"):
        label = "Test " + clean(name).replace("_", " ")
        if name == "accuracy" and value is not None and 0.0 <= value <= 1.0:
            note = ""
            if n is not None and n >= 1:
                low, high = wilson(value, n)
                note = f"95 % interval {100 * low:.1f} to {100 * high:.1f} %"
            shown.append((label, f"{100 * value:.1f} %", note))
        else:
            shown.append((label, number(value), ""))
    if n is not None:
        shown.append(("Test examples", number(n), "looked at once, at the end"))
    return shown


def command_line(command: Any) -> str:
    """Returns a command, a text or a list of arguments, as one line to paste into a shell."""
    if isinstance(command, list | tuple):
        return shlex.join(str(part) for part in command)
    return "" if command is None else str(command)


def fact(value: Any) -> str:
    """Returns any fact as one line; nested ones as `name value` pairs.

    Example:
      >>> fact({"jax": "0.10.2", "flax": "0.12.0"}), fact([1, 2.5])
      ('jax 0.10.2, flax 0.12.0', '1, 2.5')
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(name)} {fact(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return ", ".join(fact(entry) for entry in value)
    return number(value)


def fact_name(name: str) -> str:
    """Returns the name of a fact as a heading: `wall_seconds` becomes `Wall seconds`."""
    words = clean(name).replace("_", " ")
    return words[:1].upper() + words[1:]
