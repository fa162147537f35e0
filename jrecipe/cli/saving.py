"""Writes what a run made; what cannot be written is named, and nothing older is damaged."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from jrecipe.cli.command_line import command_for
from jrecipe.cli.run_folder import write_record
from jrecipe.cli.stop import StopError, reason
from jrecipe.recipe.dish import Dish, PlannedDish, TaskDish
from jrecipe.recipe.plan import target_scale
from jrecipe.report.report import Part, Report, write_whole
from jrecipe.train import Fit, checkpoint_steps, save_checkpoint, unstorable


def save_run(
    folder: Path,
    arguments: Sequence[str],
    *,
    report: Report | None = None,
    record: Mapping[str, Any] | None = None,
    fit: Fit | None = None,
    explorer: Part | None = None,
    lists: Mapping[str, str] | None = None,
) -> None:
    """Writes report, record, history and checkpoints, each whole or not at all.

    Args:
      folder: of the run; made if it is missing.
      arguments: of the command line, to say how to go on.
      report: for report.html and report.json.
      record: for run.json.
      fit: for history.jsonl, the best state and, last, the newest.
      explorer: of the examples, for report.html.
      lists: file name -> text, to be written beside.

    Raises:
      StopError: naming every file that could not be written, after the others have been.
    """
    problems: list[str] = []

    def attempt(path: Path, write: Callable[[], object]) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with no_storage_log():
                write()
        except OSError as error:
            problems.append(f"{path} ({reason(error)[:200]})")

    if fit is not None and (kind := unstorable(fit.state)):
        click.echo(
            f"jrecipe: the weights were not saved: Trainer.init returned a state with a {kind}; "
            "make it a pytree of arrays.",
            err=True,
        )
        fit = None
    if fit is not None:
        lines = "".join(line + "\n" for line in fit.history.lines())
        attempt(folder / "history.jsonl", lambda: write_whole(folder / "history.jsonl", lines))
        best = folder / "best"
        if fit.best_step not in checkpoint_steps(best):
            attempt(
                best / str(fit.best_step), lambda: save_checkpoint(best, fit.best_step, fit.best)
            )
        # Resuming starts from the newest of these, so everything it needs is there before.
        newest = folder / "checkpoints"
        if not problems:
            attempt(newest / str(fit.steps), lambda: save_checkpoint(newest, fit.steps, fit.state))
    if record is not None:
        attempt(folder / "run.json", lambda: write_record(folder, record))
    if report is not None:
        attempt(folder / "report.html", lambda: report.save(folder, explorer=explorer))
    for name, text in (lists or {}).items():
        path = folder / name
        attempt(path, lambda path=path, text=text: write_whole(path, text))  # type: ignore[misc]
    if problems:
        again = command_for(arguments, folder, resume=(folder / "run.json").exists())
        if arguments[0] not in ("cook", "fit"):
            again = command_for(arguments, folder)
        raise StopError(
            f"could not write {', '.join(problems)}; free some space and run: {again} - or name "
            "another folder with --out."
        )


@contextlib.contextmanager
def no_storage_log() -> Iterator[None]:
    """Keeps the storage layer from printing tracebacks of errors that are raised as well."""
    logger = logging.getLogger("absl")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def network_record(dish: Dish) -> dict[str, Any]:
    """Returns all that `restore` needs to build the network again without the training data."""
    if isinstance(dish, TaskDish):
        return {"copies": dish.copies}
    assert isinstance(dish, PlannedDish)
    splits = dish.splits
    inputs, targets = (np.asarray(part) for part in splits.train.take(np.arange(1)))
    scale = target_scale(splits)
    return {
        "plan": dataclasses.asdict(dish.plan),
        "targets": splits.kind,
        "class_names": list(splits.class_names),
        "encoder": None if splits.encoder is None else splits.encoder.to_json(),
        "input": {"shape": list(inputs.shape[1:]), "dtype": str(inputs.dtype)},
        "target": {"shape": list(targets.shape[1:]), "dtype": str(targets.dtype)},
        "target_scale": None
        if scale is None
        else {"mean": np.asarray(scale[0]).tolist(), "std": np.asarray(scale[1]).tolist()},
    }


def versions() -> dict[str, str]:
    """Returns the versions that a run depends on."""
    import platform
    from importlib.metadata import version

    names = ("jax", "flax", "optax", "orbax-checkpoint", "numpy")
    from jrecipe import __version__

    return {
        "jrecipe": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in names},
    }
