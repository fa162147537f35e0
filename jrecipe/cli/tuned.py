"""What `jrecipe tune` searches: a data set with jrecipe's own space, or a user's file."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jrecipe.types import TaskError

if TYPE_CHECKING:
    from jrecipe.cli.target import Target
    from jrecipe.task import Task
    from jrecipe.tune import Space
    from jrecipe.tune.members import MakeTask


@dataclasses.dataclass(frozen=True)
class Tuned:
    """A target as a space and a task for each point, which any process can load for itself.

    Attributes:
      text: as it was typed.
      seed: of the splits that are cut.
      column: where the targets of a data set are.
      data_dir: where tfds has its prepared sets.
      network: for a data set, or None for the one that is suggested.
      steps: updates of a trial.
    """

    text: str
    seed: int
    column: str | None
    data_dir: str | None
    network: str | None
    steps: int

    def __call__(self, params: dict[str, Any]) -> Task:
        """Returns the task of some values."""
        make_task: MakeTask = self._loaded[0]
        return make_task(params)

    def __reduce__(self) -> Any:
        given = (self.text, self.seed, self.column, self.data_dir, self.network, self.steps)
        return type(self), given  # what was loaded stays with its process

    @property
    def space(self) -> Space:
        """What is searched."""
        space: Space = self._loaded[1]
        return space

    @property
    def defaults(self) -> dict[str, Any] | None:
        """The values before the search, None where nobody knows them."""
        defaults: dict[str, Any] | None = self._loaded[2]
        return defaults

    @property
    def name(self) -> str:
        """For the run's folder."""
        from jrecipe.cli.target import folder_name

        return folder_name(self.text)

    @property
    def target(self) -> Target:
        """The target, to tell whose code raised something."""
        from jrecipe.cli.target import Target

        file = self.text.rpartition(":")[0] if ".py:" in self.text else self.text
        own = Path(file).expanduser() if file.endswith(".py") else None
        return Target(self.text, self.name, self.space, own)  # type: ignore[arg-type]

    @property
    def place(self) -> str:
        """The target so that it can be found from another folder."""
        file, _, name = self.text.rpartition(":")
        if file.endswith(".py"):
            return f"{Path(file).expanduser().resolve()}:{name}"
        path = Path(self.text).expanduser()
        return str(path.resolve()) if path.exists() and self.text != "digits" else self.text

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        if self.text.endswith(".py") or ".py:" in self.text:
            return self._of_file()
        from jrecipe.cli.planned import plan_for
        from jrecipe.cli.target import load_target
        from jrecipe.recipe.tuning import PlannedTasks, default_params, planned_space

        splits = load_target(
            self.text, seed=self.seed, column=self.column, data_dir=self.data_dir
        ).splits
        assert splits is not None
        plan = plan_for(splits, network=self.network)
        return (
            PlannedTasks(splits, plan, self.steps),
            planned_space(plan, splits),
            default_params(plan, splits),
        )

    def _of_file(self) -> tuple[Any, Any, None]:
        from jrecipe.recipe.task_file import load_names
        from jrecipe.tune import Space

        file, _, name = self.text.rpartition(":") if ".py:" in self.text else (self.text, "", "")
        for option, value in (
            ("--network", self.network),
            ("--target", self.column),
            ("--data-dir", self.data_dir),
        ):
            if value is not None:
                raise TaskError(
                    f"{option} {value} is for data sets, but {self.text} makes tasks of its own; "
                    f"leave {option} out."
                )
        make_task, space = load_names(Path(file).expanduser(), name or "make_task", "space")
        if not callable(make_task) or not isinstance(space, Space):
            raise TaskError(
                f"target '{self.text}' needs a function (params) -> jr.Task and, beside it, "
                f"space = jr.tune.Space(...), got {type(make_task).__name__} and "
                f"{type(space).__name__}."
            )
        return make_task, space, None


def load_tuned(
    text: str,
    seed: int,
    column: str | None,
    data_dir: str | None,
    network: str | None,
    steps: int,
) -> Tuned:
    """Loads a target.

    Raises:
      TaskError: naming what is missing, damaged or unknown.
    """
    tuned = Tuned(text, seed, column, data_dir, network, steps)
    _ = tuned.space  # or raises
    return tuned
