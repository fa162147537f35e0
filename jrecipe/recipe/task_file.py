"""Tasks in Python files of the user's own: `file.py:name`."""

from __future__ import annotations

import contextlib
import difflib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jrecipe.types import TaskError, one_line

if TYPE_CHECKING:
    from jrecipe.task import Task


def load_task(file: Path, name: str) -> Task:
    """Runs a Python file and returns the task of that name in it.

    Args:
      file: the Python file; its folder can be imported from while it runs.
      name: of a `jr.Task`, or of a function without arguments that returns one.

    Raises:
      TaskError: if there is no such file, name or task, or the file raises an exception.
    """
    from jrecipe.task import Task

    if not file.is_file():
        raise TaskError(
            f"target '{file}:{name}': {file} does not exist; give a path as my_task.py:task."
        )
    with _importable(file.resolve().parent), _blaming(file):
        module = _run(file)
        if not name or not hasattr(module, name):
            asked = f"{file}:{name}" if name else str(file)
            raise TaskError(f"target '{asked}': {_known(module, file, name)}")
        found = getattr(module, name)
        if callable(found) and not isinstance(found, Task | type):
            found = found()
    if not isinstance(found, Task):
        raise TaskError(
            f"target '{file}:{name}' needs a jr.Task, or a function without arguments that returns "
            f"one, got {type(found).__name__} {one_line(repr(found))[:60]}; "
            "make one with jr.Task(model=..., loss=..., train=(inputs, targets), val=...)."
        )
    return found


def load_names(file: Path, *names: str) -> tuple[Any, ...]:
    """Runs a Python file and returns what stands under some names in it.

    Args:
      file: the Python file; its folder can be imported from while it runs.
      *names: which.

    Raises:
      TaskError: if there is no such file or name, or the file raises an exception.
    """
    if not file.is_file():
        raise TaskError(
            f"target '{file}:{names[0]}': {file} does not exist; give a path as my_task.py:task."
        )
    with _importable(file.resolve().parent), _blaming(file):
        module = _run(file)
    for name in names:
        if not hasattr(module, name):
            raise TaskError(f"target '{file}:{names[0]}': {_known(module, file, name)}")
    return tuple(getattr(module, name) for name in names)


def blame(error: BaseException, file: Path) -> str | None:
    """Returns `file:line: exception` for the last line of the user's code under an exception.

    Args:
      error: what was raised.
      file: the user's file; code in its folder is the user's too.

    Returns:
      One line, None if no line of the user's code was running.
    """
    said = one_line(str(error))[:500]
    if isinstance(error, SyntaxError) and error.filename:
        return (
            f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}; mend the file."
        )
    folder = file.resolve().parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if "site-packages" in path.parts or not path.is_file():
            continue
        if folder in path.resolve().parents and not _is_ours(path):
            text = f"{path}:{frame.lineno}: {type(error).__name__}: {said}"
            return f"{text.rstrip('.: ')}; mend the file, or see it all with --traceback."
    return None


def _is_ours(path: Path) -> bool:
    return Path(__file__).resolve().parents[1] in path.resolve().parents


def _run(file: Path) -> ModuleType:
    name = "jrecipe_task_" + re.sub(r"\W", "_", file.stem)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # any .py file has one
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have taken it out itself
            sys.path.remove(str(folder))


@contextlib.contextmanager
def _blaming(file: Path) -> Iterator[None]:
    """Turns whatever the user's file raises into one line with file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:  # the user's file runs here and may raise anything
        where = blame(error, file)
        if where is None:  # raised by this module, or before a line ran (undecodable text)
            raise (
                error
                if isinstance(error, TaskError)
                else TaskError(
                    f"{file}: {type(error).__name__}: {one_line(str(error))}; mend the file."
                )
            ) from error
        raise TaskError(where) from error


def _known(module: ModuleType, file: Path, name: str) -> str:
    from jrecipe.task import Task

    public = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    here = {
        n
        for n, v in public.items()
        if isinstance(v, Task) or (callable(v) and getattr(v, "__module__", "") == module.__name__)
    }
    tasks = [n for n in here if isinstance(public[n], Task)]
    close = difflib.get_close_matches(name, here, n=1) if name else tasks[: len(tasks) == 1]
    if close:
        lacks = f"{file} has no {name!r}" if name else "it lacks the name of the task"
        return f"{lacks}; did you mean '{file}:{close[0]}'?"
    held = ", ".join(sorted(here)) or "no task"
    asked = f"{file} has no {name!r}" if name else f"no task is named after {file}"
    return f"{asked}; it has {held}; write {file}:NAME."
