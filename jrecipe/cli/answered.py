"""The part of a report's page that shows what a trained network answers to every example (A9)."""

from __future__ import annotations

import dataclasses

from jrecipe.data import Splits
from jrecipe.explore import data_of, fragment, predicted
from jrecipe.report.report import Part
from jrecipe.train import Fit

ROWS = 10_000  # examples on the page
_MEGABYTES = 8.0  # of pictures or texts on it


def answers_part(fit: Fit, splits: Splits | None, *, tested: bool = False) -> Part:
    """Returns the explorer of training and validation examples, those that cost most first.

    Args:
      fit: the trained task.
      splits: the data set that it was made of, None for a task of the user's own.
      tested: whether the test split has been read.
    """
    data = data_of(fit.task)
    if splits is not None:
        stored = data_of(splits)
        # Numbers may be rescaled for the network: targets are shown as it is asked for them.
        data = dataclasses.replace(data, texts=stored.texts, table=stored.table)
    shown = [name for name in ("val", "test", "train") if name in fit.task.splits]
    examples = predicted(fit, [name for name in shown if tested or name != "test"], data=data)
    dearest = examples.sort("loss", descending=True)
    return fragment(dearest, rows=ROWS, megabytes=_MEGABYTES)
