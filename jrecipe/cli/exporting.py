"""What `export` and `squeeze` need of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jrecipe.cli.new_inputs import new_inputs
from jrecipe.cli.restore import Trained, split_inputs
from jrecipe.squeeze.export_meaning import Meaning, meaning_of
from jrecipe.squeeze.network import Network
from jrecipe.types import PyTree, TaskError


def refuse_texts(run: str) -> None:
    """Raises TaskError for a folder of `jrecipe finetune`, which is an export already."""
    if (Path(run) / "finetuned.json").is_file():
        raise TaskError(
            f"run {run!r} is a fine-tuned network for texts, whose folder holds safetensors, "
            "tokenizer and names already; for StableHLO use jr.finetune.load_finetuned and "
            "jr.squeeze.export from Python, see docs/deploy.md."
        )


def network_of_run(trained: Trained, run: str) -> Network:
    """Returns the best network of a run with its numbers.

    Raises:
      TaskError: if the run was trained by the user's own trainer, whose state may be anything.
    """
    task, state = trained.task, trained.state
    if task.model is None or task.trainer is not None:
        raise TaskError(
            f"run {run!r} was trained by a trainer of your own; export it from Python: "
            "jr.squeeze.export(lambda x: trainer.predict(state, x), folder, inputs=...)."
        )
    return Network(task.model, state.params, state.model_state)


def meaning_of_run(trained: Trained) -> Meaning:
    """Returns what goes in and comes out, in the words of the run's data."""
    found = meaning_of(trained.task, trained.encoder)
    return Meaning(
        trained.encoder, found.kind, found.class_names, trained.scale, str(trained.record["name"])
    )


def examples_of(trained: Trained, files: Sequence[str], rows: int) -> tuple[PyTree, str]:
    """Returns inputs to compare on, `rows` at most, and what to call them.

    Args:
      trained: the run.
      files: new files, or none for the run's own data: its test split, or else the validation.
      rows: how many at most.

    Raises:
      TaskError: naming the file, or the data set, that is missing or does not fit.
    """
    if files:
        like = trained.task.train.take(np.arange(1))[0]
        inputs, where = new_inputs(files, trained.encoder, like)[0], ", ".join(files)
    else:
        split = "test" if trained.task.test is not None else "val"
        try:
            inputs, where = split_inputs(trained, split)[0], f"the {split} split"
        except TaskError as error:
            data = Path(str(trained.record.get("place")))
            raise TaskError(
                f"the data of the run cannot be read ({error}); give examples to compare on, as "
                f"--inputs FILE, or bring {data} back."
            ) from error
    return jax.tree.map(lambda x: x[:rows], inputs), where
