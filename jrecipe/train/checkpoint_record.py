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


def digest(state: PyTree) -> str:
    """Returns the SHA-256 of the values, dtypes and shapes of a state's leaves, in order."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(state):
        array = np.asarray(leaf)
        found.update(f"{array.dtype} {array.shape};".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return found.hexdigest()


def note_values(path: Path, state: PyTree) -> None:
    """Notes what the checkpoint `path` is going to hold; before it is written.

    Args:
      path: of a checkpoint; `path.json` is replaced.
      state: a pytree of arrays.
    """
    _write(path, {"sha256": digest(state), "shapes": _shapes(state)})


def note_files(path: Path) -> None:
    """Notes the files of the checkpoint `path`, once they are written."""
    files = {name: _file_digest(path / name) for name in _files(path)}
    _write(path, _read(path) | {"files": files})


def damage(path: Path) -> str:
    """Says what happened to the files of a checkpoint since they were written, "" if nothing."""
    try:
        record = _read(path)
    except (ValueError, OSError) as error:
        return f"its record cannot be read, {error}"
    for name, noted in record.get("files", {}).items():
        if not (path / name).is_file():
            return f"{name} is gone"
        if _file_digest(path / name) != noted:
            return f"{name} is not as it was written"
    return ""


def misfit(path: Path, like: PyTree) -> str:
    """Says in what a checkpoint differs from a state of the form of `like`, "" if in nothing."""
    noted = _read(path).get("shapes")
    if noted is None:
        return ""
    wanted = _shapes(like)
    for name in sorted(wanted.keys() | noted.keys()):
        there, here = noted.get(name), wanted.get(name)
        if there is None or here is None:
            return f"{name} is only in {'this state' if there is None else 'the checkpoint'}"
        if there != here:
            return f"{name} has the shape {tuple(there)} there and {tuple(here)} here"
    return ""


def is_other(path: Path, state: PyTree) -> bool:
    """Whether the values read from a checkpoint are not those that were noted."""
    return _read(path).get("sha256", digest(state)) != digest(state)


def _shapes(state: PyTree) -> dict[str, list[int]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {jax.tree_util.keystr(where): list(np.shape(leaf)) for where, leaf in leaves}


def _files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def _file_digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _read(path: Path) -> dict[str, Any]:
    """Returns what was noted; nothing for a checkpoint that another program wrote.

    Raises:
      ValueError: if the record is damaged.
    """
    try:
        found = json.loads(_record(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{_record(path).name} holds no object")
    return found


def _write(path: Path, record: dict[str, Any]) -> None:
    fresh = path.with_name(f"{path.name}.json.new")
    fresh.write_text(json.dumps(record), encoding="utf-8")
    os.replace(fresh, _record(path))
