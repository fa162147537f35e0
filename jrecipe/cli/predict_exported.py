"""`jrecipe predict` with an exported network, whose code is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from jrecipe.cli.answers import answer_lines, answers_of, loss_of_kind
from jrecipe.cli.new_inputs import new_inputs
from jrecipe.squeeze.export_shapes import structs_of
from jrecipe.squeeze.load_exported import RECORD, Exported, load_exported, read_exported
from jrecipe.types import TaskError


def predict_exported(folder: str, files: Sequence[str], split: str | None, *, as_json: bool) -> int:
    """Prints the answer for each example of new files.

    Args:
      folder: that `jrecipe export` wrote.
      files: new ones.
      split: asked for in their place, which an exported network has not.
      as_json: print an object per line.

    Raises:
      TaskError: if there is a split, the folder is damaged, or a file does not fit.
    """
    if split is not None:
        raise TaskError(
            f"--split {split}: {folder} is an exported network without data; give files, or the "
            "folder of its run."
        )
    exported = _loaded(folder)
    meaning = exported.meaning
    inputs, names = new_inputs(files, meaning.encoder, structs_of(exported.record["inputs"], 1))
    try:
        loss = loss_of_kind(meaning.kind)
    except KeyError as error:
        raise TaskError(
            f"{Path(folder) / RECORD} names the kind {error}, which is unknown; export again."
        ) from error
    outputs = exported.outputs(inputs)
    answers = answers_of(loss, outputs, meaning.class_names, meaning.scale)
    for line in answer_lines(names, answers, as_json=as_json):
        click.echo(line)
    return 0


def _loaded(folder: str) -> Exported:
    record: dict[str, Any] = read_exported(folder)
    if record.get("format") != "safetensors" or not record.get("run"):
        return load_exported(folder)
    import jax

    from jrecipe.cli.restore import rebuild
    from jrecipe.squeeze.network import Network
    from jrecipe.train import trainer_of

    trained = rebuild(record["run"], str(Path(folder) / RECORD))
    state = trainer_of(trained.task).init(jax.random.key(0))
    network = Network(trained.task.model, state.params, state.model_state)
    return load_exported(folder, network=network)
