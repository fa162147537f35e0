"""Where public names are defined, read from the code without running it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def defined(module: str, name: str) -> str:
    """Returns the dotted path of the definition behind a public name.

    Args:
      module: dotted, such as "jrecipe.augment".
      name: that the module defines or imports.

    Example:
      >>> defined("jrecipe.augment", "compose")
      'jrecipe.augment.compose.compose'
      >>> defined("jrecipe", "fit"), defined("jrecipe", "train")
      ('jrecipe.train.loop.fit', 'jrecipe.train')
    """
    for node in ast.walk(_parsed(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jrecipe"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    if node.module == module:  # a module below this one
                        return f"{module}.{alias.name}"
                    return defined(str(node.module), alias.name)
    return f"{module}.{name}"


def public(module: str) -> list[str]:
    """Returns what stands in `__all__` of a module, in its order; nothing if it has none.

    Example:
      >>> public("jrecipe.generate")
      ['GeneratedSource', 'Generator', 'fit_generator']
    """
    for node in _parsed(module).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def is_module(path: str) -> bool:
    """Returns whether a dotted path is a module."""
    return any(file.is_file() for file in _places(path))


def _places(module: str) -> tuple[Path, Path]:
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py"), place / "__init__.py"


@functools.cache
def _parsed(module: str) -> ast.Module:
    return ast.parse(next(p for p in _places(module) if p.is_file()).read_text(encoding="utf-8"))
