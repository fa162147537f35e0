"""What a command works on: a data set by name or path, or a task in a Python file."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.data.splits import Splits
    from jrecipe.task import Task

_TASK = re.compile(r"(?P<file>.*\.py)(?::(?P<name>[^:/\\]*))?")


@dataclasses.dataclass(frozen=True)
class Target:
    """A loaded target.

    Attributes:
      text: as it was typed.
      name: for the run's folder.
      what: the task, or the data set.
      file: the Python file of a task, None for a data set.
    """

    text: str
    name: str
    what: Task | Splits
    file: Path | None = None

    @property
    def splits(self) -> Splits | None:
        """The data set, None for a task."""
        from jrecipe.data.splits import Splits

        return self.what if isinstance(self.what, Splits) else None

    @property
    def task(self) -> Task:
        """The user's own task; only if it is one."""
        from jrecipe.task import Task

        assert isinstance(self.what, Task)
        return self.what

    @property
    def place(self) -> str:
        """The target so that it can be found from another folder."""
        if self.file is not None:
            return f"{self.file.resolve()}:{self.text.rpartition(':')[2]}"
        path = Path(self.text).expanduser()
        return str(path.resolve()) if path.exists() and self.text != "digits" else self.text


def load_target(
    text: str,
    *,
    seed: int = 0,
    column: str | None = None,
    data_dir: str | None = None,
    skip_damaged: bool = False,
) -> Target:
    """Loads a data set, or a task from a Python file.

    Args:
      text: "digits", another data spec, or `file.py:name`.
      seed: of the splits that are cut.
      column: where the targets of a data set are.
      data_dir: where tfds has its prepared sets.
      skip_damaged: leaves out what is damaged in a data set and collects it in `Splits.damage`.

    Raises:
      TaskError: naming what is missing, damaged or unknown.
    """
    match = _TASK.fullmatch(text)
    if match is None:
        from jrecipe import data

        splits = data.load(
            text, seed=seed, target=column, data_dir=data_dir, skip_damaged=skip_damaged
        )
        return Target(text, folder_name(text), splits)
    for option, value in (("--target", column), ("--data-dir", data_dir)):
        if value is not None:
            raise TaskError(
                f"{option} {value!r} is for data sets, but {text} is a task, which has its own "
                f"data; leave {option} out."
            )
    from jrecipe.recipe.task_file import load_task

    file = Path(match["file"]).expanduser()
    task = load_task(file, match["name"] or "")
    return Target(text, folder_name(text), task, file)


def folder_name(text: str) -> str:
    """Returns a name for the run's folder.

    Example:
      >>> [folder_name(x) for x in ("digits", "tfds:mnist", "a/data.csv.gz", "b/my.py:task", "..")]
      ['digits', 'mnist', 'data', 'my', 'run']
    """
    match = _TASK.fullmatch(text)
    if match is not None:
        stem = Path(match["file"]).stem
        parts = [stem] if match["name"] in (None, "", "task") else [stem, match["name"]]
        name = "-".join(parts)
    elif text.startswith("tfds:"):
        name = text.removeprefix("tfds:")
    else:
        name = Path(text).expanduser().resolve().name if text.strip("./") else ""
        name = name.split(".")[0] if name.strip(".") else ""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


@contextlib.contextmanager
def user_code(target: Target) -> Iterator[None]:
    """Turns what the user's own file raises into one line; other exceptions pass.

    Raises:
      TaskError: naming file, line and exception.
    """
    if target.file is None:
        yield
        return
    from jrecipe.recipe.task_file import blame

    try:
        yield
    except TaskError:
        raise
    except Exception as error:  # the user's model and loss run inside
        where = blame(error, target.file)
        if where is None:
            raise
        raise TaskError(where) from error


def require_splits(target: Target, options: dict[str, Any]) -> None:
    """Raises TaskError for options that only make sense for a data set."""
    for option, value in options.items():
        if value is not None and target.file is not None:
            raise TaskError(
                f"{option} {value} is for data sets, but {target.text} brings its own network and "
                f"optimizer; change it in the file, or leave {option} out."
            )
