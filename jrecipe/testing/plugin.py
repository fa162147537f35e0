"""A pytest plugin: `pytest --jrecipe my_task.py:task` runs one test per check, without a test file.

pytest loads this module in every run of an environment that has jrecipe, so nothing heavy is
imported before the option is used.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jrecipe.checks import Check, Context


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options."""
    group = parser.getgroup("jrecipe", "checks of training code")
    group.addoption(
        "--jrecipe",
        action="append",
        default=[],
        metavar="FILE.py:TASK",
        help="run every check on this task, one test each; may be repeated",
    )
    group.addoption("--jrecipe-only", default="", metavar="ITEMS", help="as B4,B12")
    group.addoption("--jrecipe-ignore", default="", metavar="CODES", help="as imbalance,B6")
    group.addoption("--jrecipe-seed", type=int, default=0, metavar="N", help="default 0")


def pytest_configure(config: pytest.Config) -> None:
    """Collects the tasks: alone if no path was given, else beside what was."""
    tasks = _tasks(config)
    if not tasks or hasattr(config, "workerinput"):  # workers get the arguments of their controller
        return
    files = [str(path) for path in tasks]
    given = config.args_source is pytest.Config.ArgsSource.ARGS
    config.args = [*config.args, *files] if given else files


@pytest.hookimpl(tryfirst=True)
def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> TaskFile | None:
    """Collects the files that hold a task."""
    names = _tasks(parent.config).get(file_path.resolve())
    if not names:
        return None
    collector: TaskFile = TaskFile.from_parent(parent, path=file_path)
    collector.names = names
    return collector


class TaskFile(pytest.File):
    """A Python file with tasks in it."""

    names: tuple[str, ...] = ()

    def collect(self) -> Iterator[CheckItem]:
        """Loads the tasks, and yields one test per task and check."""
        from jrecipe.checks import Context, select
        from jrecipe.recipe.task_file import load_task
        from jrecipe.types import TaskError

        options = self.config.option
        try:
            for name in self.names:
                context = Context(load_task(self.path, name), options.jrecipe_seed)
                for check in select(options.jrecipe_only.split(",")):
                    item: CheckItem = CheckItem.from_parent(
                        self, name=f"{name}::{check.item}-{check.name}"
                    )
                    item.context, item.check, item.task = context, check, name
                    yield item
        except TaskError as error:
            raise self.CollectError(str(error)) from error


class CheckItem(pytest.Item):
    """One check of one task."""

    context: Context
    check: Check
    task: str

    def runtest(self) -> None:
        """Runs the check."""
        from jrecipe.testing.parametrize import assert_passes

        assert_passes(self.context, self.check, self._ignored(), command=self.command)

    @property
    def command(self) -> str:
        """The command line that shows the same finding."""
        options = self.config.option
        words = ["jrecipe", "check", f"{_shown(self.path)}:{self.task}", "--only", self.check.name]
        if options.jrecipe_seed:
            words += ["--seed", str(options.jrecipe_seed)]
        return shlex.join(words)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str:
        """Shows the finding without the lines of this package."""
        if isinstance(excinfo.value, AssertionError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo, style))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Says where it comes from."""
        return self.path, 0, f"{self.path.name}:{self.name}"

    def _ignored(self) -> tuple[str, ...]:
        return tuple(code for code in self.config.option.jrecipe_ignore.split(",") if code)


def _tasks(config: pytest.Config) -> dict[Path, tuple[str, ...]]:
    """Returns the files asked for, each with the names of its tasks."""
    found: dict[Path, tuple[str, ...]] = {}
    for text in config.getoption("--jrecipe"):
        file, colon, name = text.rpartition(":")
        if not colon or not file.endswith(".py"):
            raise pytest.UsageError(f"--jrecipe {text!r}: write FILE.py:TASK, as my_task.py:task.")
        path = Path(file).resolve()
        if not path.is_file():
            raise pytest.UsageError(f"--jrecipe {text!r}: there is no file {file}.")
        found[path] = (*found.get(path, ()), name)
    return found


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
