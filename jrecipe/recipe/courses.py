"""What each stage of `cook` left, on disk: so that a run goes on at the stage where it ended.

A course is one `.npz` file: a text of JSON that names dataclasses, and the arrays that it refers
to. Nothing is pickled; only the classes that are listed here are made again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe import figures
from jrecipe.checks.result import Finding, Suspect, Verdict
from jrecipe.report import Section
from jrecipe.train.seeds import SeedRuns
from jrecipe.types import TaskError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """What one stage left.

    Attributes:
      stage: its name.
      dish: as `Dish.to_json` describes it after the stage.
      findings: of the stage.
      sections: of the report.
      runs: of the dish over seeds, None before there are any.
      numbers: what later stages need to know.
      seconds: that the run had taken when it ended.
    """

    stage: str
    dish: Mapping[str, Any]
    findings: tuple[Finding, ...] = ()
    sections: tuple[Section, ...] = ()
    runs: SeedRuns | None = None
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


_KNOWN = {
    kind.__name__: kind
    for kind in (
        Course,
        Finding,
        Section,
        SeedRuns,
        Suspect,
        figures.Annotations,
        figures.Bars,
        figures.Curves,
        figures.Histograms,
        figures.Marks,
        figures.Matrix,
        figures.Parallel,
        figures.Pictures,
        figures.Table,
    )
}
_TYPE, _ARRAY, _VERDICT, _PAIRS = "dataclass", "array", "verdict", "pairs"


class Courses:
    """The courses of a run in a folder.

    Args:
      folder: where they are; None keeps nothing.
      resume: whether those that are there count.
    """

    def __init__(self, folder: Path | None, resume: bool) -> None:
        self.folder = folder
        self.unkept = ""  # why the last one could not be written
        if folder is not None and not resume:
            for path in folder.glob("*.npz"):
                path.unlink()

    def get(self, stage: str) -> Course | None:
        """Returns what a stage left, None if it left nothing.

        Raises:
          TaskError: if its file is damaged.
        """
        path = self._path(stage)
        return load_course(path) if path is not None and path.is_file() else None

    def keep(self, course: Course) -> None:
        """Writes a course; a disk that is full costs the way back to this stage, and no more."""
        path = self._path(course.stage)
        if path is None:
            return
        try:
            save_course(path, course)
        except OSError as error:
            self.unkept = f"{path}: {error.strerror or error}"

    def _path(self, stage: str) -> Path | None:
        return None if self.folder is None else self.folder / f"{stage}.npz"


def save_course(path: Path, course: Course) -> None:
    """Writes a course to a file, whole or not at all; makes the folder.

    Raises:
      OSError: if it cannot be written.
    """
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encoded(course, arrays))
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, text=np.array(text), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def load_course(path: Path) -> Course:
    """Reads what `save_course` wrote.

    Raises:
      TaskError: if the file is damaged, or of another version.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            course = _decoded(json.loads(str(stored["text"])), stored)
    except (ValueError, KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise TaskError(
            f"{path} is damaged or of another version ({error}); remove it, and its stage is "
            "cooked again."
        ) from error
    if not isinstance(course, Course):
        raise TaskError(f"{path} holds no stage of a run; remove it.")
    return course


def _encoded(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Returns what JSON can carry; arrays are put into `arrays` under a name."""
    if isinstance(value, Verdict):
        return {_VERDICT: value.value}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value) and type(value).__name__ in _KNOWN:
        names = [field.name for field in dataclasses.fields(value)]
        fields = {name: _encoded(getattr(value, name), arrays) for name in names}
        return {_TYPE: type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        pairs = [[_encoded(k, arrays), _encoded(v, arrays)] for k, v in value.items()]
        return {_PAIRS: pairs}
    if isinstance(value, list | tuple):
        return [_encoded(entry, arrays) for entry in value]
    array = np.asarray(value)
    if array.dtype.kind not in "biufSU":
        raise TypeError(f"a stage left a {type(value).__name__}, which is not kept")
    name = f"array{len(arrays)}"
    arrays[name] = array
    return {_ARRAY: name}


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns what `_encoded` made of it; sequences come back as tuples."""
    if isinstance(value, list):
        return tuple(_decoded(entry, arrays) for entry in value)
    if not isinstance(value, dict):
        return value
    if _VERDICT in value:
        return Verdict(value[_VERDICT])
    if _ARRAY in value:
        return arrays[value[_ARRAY]]
    if _PAIRS in value:
        return {_decoded(k, arrays): _decoded(v, arrays) for k, v in value[_PAIRS]}
    fields = {name: _decoded(entry, arrays) for name, entry in value["fields"].items()}
    return _KNOWN[value[_TYPE]](**fields)
