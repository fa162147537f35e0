"""A sheet as one self-contained page: it asks, keeps what was answered, and gives it as a file."""

from __future__ import annotations

import json

from jrecipe.draw.text import printable
from jrecipe.human.sheet import Sheet

SCHEMA = 1
_KEYS = "123456789abcdefghijklmnopqrstvwxyz"  # without u, which takes back


def render(sheet: Sheet) -> str:
    """Returns the page. It loads nothing, sends nothing, and what is right is not in it."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jrecipe.human", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    asked = {
        "schema": SCHEMA,
        "task": printable(sheet.name),
        "split": sheet.split,
        "data": sheet.data,
        "seed": sheet.seed,
        "pictures": sheet.pictures,
        "classes": [
            {"name": name, "shown": printable(name), "key": key}
            for name, key in zip(sheet.class_names, keys_of(sheet.class_names), strict=True)
        ],
        "examples": [
            {"row": int(row), "shown": printable(shown)}
            for row, shown in zip(sheet.rows, sheet.shown, strict=True)
        ],
    }
    # Inside of a script element only "<" could end it.
    told = json.dumps(asked, ensure_ascii=True).replace("<", "\\u003c")
    return environment.get_template("page.html.j2").render(
        name=printable(sheet.name), asked=Markup(told)
    )


def keys_of(class_names: tuple[str, ...]) -> list[str]:
    """Returns a key for each class: its name where all are single letters or digits.

    Example:
      >>> keys_of(("cat", "dog")), keys_of(("0", "1")), keys_of(("a", "b"))
      (['1', '2'], ['0', '1'], ['a', 'b'])
    """
    own = [name.lower() for name in class_names]
    single = all(len(name) == 1 and name.isalnum() and name.isascii() for name in own)
    if single and len(set(own)) == len(own) and "u" not in own:
        return own
    return [*_KEYS[: len(own)], *[""] * (len(own) - len(_KEYS))]
