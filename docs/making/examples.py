"""Lets the reference show what stands under `Example:` as code, as it does `Examples:`."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Gives the section the name that is known for it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Looks at each function, class, module and attribute once it is read."""
        if obj.docstring is not None:
            obj.docstring.value = with_examples(obj.docstring.value)


def with_examples(docstring: str) -> str:
    r"""Returns a docstring whose section of examples is called so.

    Example:
      >>> with_examples("Adds.\n\nExample:\n  >>> 1 + 1\n  2")
      'Adds.\n\nExamples:\n  >>> 1 + 1\n  2'
    """
    return re.sub(r"(?m)^Example:$", "Examples:", docstring)
