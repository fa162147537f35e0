"""The part of a report's page that shows what a trained network answers to every example (A9)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax

from jrecipe.cli.saving import save_run
from jrecipe.cli.target import Target, user_code
from jrecipe.explore import data_of, fragment, predicted
from jrecipe.report import Report
from jrecipe.train import Fit

ROWS = 10_000  # examples on the page
_MEGABYTES = 8.0  # of pictures or texts on it
_TRAINED = 20_000  # training examples up to which they are shown as well


def add_answers(
    folder: Path,
    arguments: Sequence[str],
    report: Report,
    fit: Fit,
    loaded: Target,
    *,
    tested: bool = False,
) -> None:
    """Writes the report again, with every example and its answer, those that cost most first.

    It comes last, so that what fails here costs nothing of the run. Of several processes each has
    a part of the state only, and of a large training split the loss has been told: both are left
    out.

    Args:
      folder: of the run, which has been written.
      arguments: of the command line.
      report: that was written.
      fit: the trained task.
      loaded: what it was made of.
      tested: whether the test split has been read.

    Raises:
      TaskError: if the user's own code fails, naming it.
      StopError: if the page cannot be written.
    """
    if jax.process_count() > 1:
        return
    sources = fit.task.splits
    shown = ["val", *(["test"] if tested and "test" in sources else [])]
    if len(sources["train"]) <= _TRAINED:
        shown.append("train")
    with user_code(loaded):
        data = data_of(fit.task)
        if loaded.splits is not None:
            stored = data_of(loaded.splits)
            # Numbers may be rescaled for the network: targets are shown as it is asked for them.
            data = dataclasses.replace(
                data, texts=stored.texts, table=stored.table, files=stored.files
            )
        examples = predicted(fit, shown, data=data).sort("loss", descending=True)
        part = fragment(examples, rows=ROWS, megabytes=_MEGABYTES)
    save_run(folder, arguments, report=report, explorer=part)
