"""What is noted beside a checkpoint, to recognise a damaged or foreign one before it is read.

Orbax drops the reads under way when one of them fails, and Python complains about each of them
later, wherever the program is by then. What cannot be read is therefore not read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.types import PyTree


def note(path: Path, state: PyTree) -> None:
    """Notes the shapes and the files of a checkpoint that was just written.

    Args:
      path: of the checkpoint; `path.json` is replaced.
      state: the pytree of arrays that it holds.
    """
    files = {name: _digest(path / name) for name in _files(path)}
    fresh = path.with_name(f"{path.name}.json.new")
    fresh.write_text(json.dumps({"shapes": _shapes(state), "files": files}), encoding="utf-8")
    os.replace(fresh, record_file(path))


def record_file(path: Path) -> Path:
    """Returns where the record of the checkpoint `path` is."""
    return path.with_name(f"{path.name}.json")


def damage(path: Path) -> str:
    """Says what happened to the files of a checkpoint since they were written, "" if nothing."""
    try:
        record = _read(path)
    except (ValueError, OSError) as error:
        return f"its record cannot be read, {error}"
    for name, noted in record.get("files", {}).items():
        if not (path / name).is_file():
            return f"{name} is gone"
        if _digest(path / name) != noted:
            return f"{name} is not as it was written"
    return ""


def misfit(path: Path, like: PyTree) -> str:
    """Says in what a checkpoint differs from a state of the form of `like`, "" if in nothing."""
    wanted = _shapes(like)
    noted = _read(path).get("shapes", wanted)
    for name in sorted(wanted.keys() | noted.keys()):
        there, here = noted.get(name), wanted.get(name)
        if there is None or here is None:
            return f"{name} is only in {'this state' if there is None else 'the checkpoint'}"
        if there != here:
            return f"{name} has the shape {tuple(there)} there and {tuple(here)} here"
    return ""


def _shapes(state: PyTree) -> dict[str, list[int]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(where): list(np.shape(leaf)) for where, leaf in leaves}


def _files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """Returns what was noted; nothing if the process was killed before it was.

    Raises:
      ValueError: if the record is damaged.
    """
    try:
        found = json.loads(record_file(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{record_file(path).name} holds no object")
    return found
