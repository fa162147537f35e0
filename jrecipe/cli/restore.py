"""A trained network from the folder of its run, without its training data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.cli.run_folder import read_record
from jrecipe.cli.target import load_target
from jrecipe.data import ArraySource, Encoder, Splits, encoder_from_json
from jrecipe.models.copies import copies
from jrecipe.recipe.plan import build_task, plan_from_json
from jrecipe.task import Task
from jrecipe.train import load_checkpoint, trainer_of
from jrecipe.types import PyTree, Source, TaskError

_ROWS = 512  # per forward pass


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
      task: the task; for a data set its splits are stand-ins of the right shapes.
      state: the best state by validation loss.
      record: what `run.json` says.
      encoder: of new files, None if they are arrays as the network takes them.
      scale: mean and standard deviation of number targets, None for other targets.
    """

    task: Task
    state: Any
    record: dict[str, Any]
    encoder: Encoder | None = None
    scale: tuple[np.ndarray, np.ndarray] | None = None

    def outputs(self, inputs: PyTree) -> PyTree:
        """Returns the outputs of the network for encoded inputs, in evaluation mode."""
        trainer = trainer_of(self.task)
        count = len(jax.tree.leaves(inputs)[0])
        parts = []
        for start in range(0, count, _ROWS):
            rows = jax.tree.map(lambda x, start=start: x[start : start + _ROWS], inputs)
            parts.append(jax.tree.map(np.asarray, trainer.predict(self.state, rows)))
        return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def restore(folder: str | Path) -> Trained:
    """Builds the network of a run again and loads its best state.

    Raises:
      TaskError: if the folder holds no run, or one without a trained network.
    """
    record = read_record(folder)
    trained = rebuild(record, f"{folder}/run.json")
    if record.get("kind") == "ensemble":
        from jrecipe.squeeze import load_ensemble

        members = load_ensemble(Path(folder) / "ensemble", trained.task)
        return dataclasses.replace(trained, task=members.joint, state=members)
    best = Path(folder) / "best"
    # What `cook` made of the network stands in the record when it has ended.
    cooking = record.get("kind") == "cook" and record.get("status") == "running"
    if cooking or not best.is_dir():
        raise TaskError(
            f"run {str(folder)!r} has no trained network yet "
            f"({record.get('status', 'no status')}); run: {record.get('command')} --resume"
        )
    like = trainer_of(trained.task).init(jax.random.key(int(record["seed"])))
    return dataclasses.replace(trained, state=load_checkpoint(best, like))


def rebuild(record: dict[str, Any], where: str) -> Trained:
    """Builds the network that a record describes, without its state.

    Args:
      record: of `run.json`; "network", and "name" or "place".
      where: what the message calls it.

    Raises:
      TaskError: if something is missing in it.
    """
    try:
        return _planned(record) if "plan" in record["network"] else _own(record)
    except (KeyError, TypeError) as error:
        raise TaskError(f"{where} lacks {error}; train again into another folder.") from error


def _planned(record: dict[str, Any]) -> Trained:
    stored = record["network"]

    def zeros(what: str) -> np.ndarray:
        return np.zeros((2, *stored[what]["shape"]), stored[what]["dtype"])

    source = ArraySource(zeros("input"), zeros("target"))
    encoder = None if stored["encoder"] is None else encoder_from_json(stored["encoder"])
    splits = Splits(
        name=record["name"],
        train=source,
        val=source,
        test=source,
        kind=stored["targets"],
        class_names=tuple(stored["class_names"]),
        encoder=encoder,
    )
    task = build_task(splits, plan_from_json(stored["plan"]))
    scale = stored["target_scale"]
    return Trained(
        task=task,
        state=None,
        record=record,
        encoder=encoder,
        scale=None if scale is None else (np.asarray(scale["mean"]), np.asarray(scale["std"])),
    )


def _own(record: dict[str, Any]) -> Trained:
    task = load_target(record["place"]).task
    count = record["network"]["copies"]
    if count > 1:
        task = task.replace(model=copies(task.model, count))
    return Trained(task=task, state=None, record=record)


def split_inputs(trained: Trained, split: str) -> tuple[PyTree, PyTree, list[str]]:
    """Reads a split of the data that a network was trained on.

    Returns:
      `(inputs, targets in their own units, a name for each example)`.

    Raises:
      TaskError: if the data is gone, or there is no such split.
    """
    if trained.record["network"].get("plan") is None:
        source: Source | None = trained.task.splits.get(split)
    else:
        record = trained.record
        options = record["options"]
        loaded = load_target(
            record["place"],
            seed=record["seed"],
            column=options.get("target"),
            data_dir=options.get("data_dir"),
        )
        source = getattr(loaded.what, split)
    if source is None:
        raise TaskError(f"--split {split}: the task has none; there are {[*trained.task.splits]}.")
    inputs, targets = source.take(np.arange(len(source)))
    return inputs, targets, [f"{split}[{row}]" for row in range(len(source))]
