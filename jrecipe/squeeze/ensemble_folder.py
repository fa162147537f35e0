"""Ensembles and networks in folders: arrays by orbax, the rest as JSON, no pickles (F)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax

from jrecipe.report.report import write_whole
from jrecipe.squeeze.ensembles import Ensemble, joint_model
from jrecipe.squeeze.task_network import TaskNetwork
from jrecipe.task import Task
from jrecipe.train.checkpoint import load_checkpoint, save_checkpoint
from jrecipe.train.reference import example_inputs
from jrecipe.types import PyTree, TaskError

RECORD = "squeezed.json"
_WEIGHTS = "weights"


def save(found: Ensemble | TaskNetwork, folder: str | Path) -> Path:
    """Writes an ensemble, or a network such as a soup, for `load_ensemble` or `load_network`.

    The task is not written: it is code. Nothing is pickled.

    Args:
      found: what to write.
      folder: made if it is missing; one that holds such a thing already is replaced.

    Returns:
      The folder.

    Raises:
      OSError: if it cannot be written.
    """
    folder = Path(folder)
    joint = isinstance(found, Ensemble)
    save_checkpoint(folder / _WEIGHTS, 0, (found.params, found.model_state))
    record: dict[str, Any] = {"schema": 1, "kind": "ensemble" if joint else "network"}
    if isinstance(found, Ensemble):
        record |= {"members": len(found), "temperature": found.temperature}
    write_whole(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return folder


def load_ensemble(folder: str | Path, task: Task) -> Ensemble:
    """Loads an ensemble that `save` wrote; it predicts as it did.

    Args:
      folder: where it is.
      task: of one member, as it was trained; its data may be other examples of the same form.

    Raises:
      TaskError: if the folder holds none, it is damaged, or is of another network.
    """
    record = _record(folder, "ensemble")
    members, temperature = int(record["members"]), float(record["temperature"])
    model = joint_model(task, members, temperature)
    params, state = _weights(folder, model.init, task)
    return Ensemble(task=task, params=params, model_state=state, temperature=temperature)


def load_network(folder: str | Path, task: Task) -> TaskNetwork:
    """Loads one network that `save` wrote: a soup, a student; see `load_ensemble`."""
    _record(folder, "network")
    params, state = _weights(folder, task.model.init, task)
    return TaskNetwork(task=task, params=params, model_state=state)


def _weights(folder: str | Path, init: Any, task: Task) -> tuple[PyTree, PyTree]:
    inputs = example_inputs(task)
    like = jax.jit(lambda key: init(key, inputs))(jax.random.key(0))
    found: tuple[PyTree, PyTree] = load_checkpoint(Path(folder) / _WEIGHTS, like)
    return found


def _record(folder: str | Path, kind: str) -> dict[str, Any]:
    path = Path(folder) / RECORD
    if not path.is_file():
        raise TaskError(
            f"{folder} holds nothing that jr.squeeze.save wrote: it has no {RECORD}; give its "
            "folder."
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TaskError(f"{path} is damaged ({error}); save it again.") from error
    if not isinstance(record, dict) or record.get("schema") != 1 or record.get("kind") != kind:
        found = record.get("kind") if isinstance(record, dict) else None
        raise TaskError(
            f"{path} holds {found!r} where {kind!r} is needed; load it by "
            f"jr.squeeze.load_{found if found in ('ensemble', 'network') else kind}."
        )
    return record
