"""Every example with what a trained network answers (A9): right, wrong, how sure, how dear."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.dynamics import as_predictions
from jrecipe.checks.neighbours import classes_of
from jrecipe.explore.columns import distinct, label_names, target_columns, trivial_columns
from jrecipe.explore.data import Data, data_of
from jrecipe.explore.examples import Column, Examples
from jrecipe.explore.files import file_columns, name_columns
from jrecipe.explore.gather import Gathered, gather
from jrecipe.explore.suspects import confidently_wrong
from jrecipe.train.evaluate import Evaluation
from jrecipe.train.fitted import Fit
from jrecipe.types import TaskError

_KINDS = ("classes", "binary", "number")  # of losses with one answer for each example
_KEPT = 1_000_000_000  # bytes of outputs that are kept


def predicted(
    fit: Fit, splits: Sequence[str] = ("train", "val"), *, data: Data | None = None
) -> Examples:
    """Returns the examples of a trained task with the network's answers, as `jr.inspect` does.

    `sort("loss", descending=True)` gives the mistakes that cost most, `where(right=False)` with
    `sort("confidence", descending=True)` those that the network is surest of, and
    `where(inconsistent=True)` the labels that do not fit what it has learnt of all others: of
    training examples those that it could not even learn by heart.

    Args:
      fit: what `jr.fit` returned, or the fit of what `jr.cook` did.
      splits: which to show; the test split is read if it is among them.
      data: how a person sees the examples, as `data_of` makes it of `Splits`; None for the task.

    Raises:
      TaskError: if the task has no such split.
    """
    known = data_of(fit.task) if data is None else data
    for split in splits:
        if split not in fit.task.splits:
            raise TaskError(f"{split=} is not there; the task has {', '.join(fit.task.splits)}.")
    shown = dataclasses.replace(known, splits={name: known.splits[name] for name in splits})
    gathered = gather(shown)
    results = {name: _evaluated(fit, name) for name in gathered.names}
    columns = distinct(
        *target_columns(gathered),
        Column("split", gathered.split, "part of the data"),
        Column("row", gathered.row, "number in its split, from 0"),
        *name_columns(gathered),
        Column("loss", _of_rows(gathered, results, lambda r: r.values), "of the example"),
        *_answers(fit, gathered, results),
        *trivial_columns(gathered),
        *file_columns(gathered),
    )
    return Examples(
        name=f"{fit.task.name}: answers",
        columns=columns,
        view=gathered.view,
        places=np.arange(len(gathered)),
        notes=gathered.notes,
        annotate=gathered.annotate,
    )


def _evaluated(fit: Fit, split: str) -> Evaluation:
    """Evaluates, and keeps the outputs unless they are too many, as those of language models."""
    source = fit.task.splits[split]
    one = fit.predict(source.take(np.zeros(1, int))[0])
    size = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(one))
    return fit.evaluate(split, keep_outputs=size * len(source) <= _KEPT)


def _of_rows(
    gathered: Gathered,
    results: Mapping[str, Evaluation],
    part: Callable[[Evaluation], np.ndarray],
) -> np.ndarray:
    """Puts a part of each split's evaluation beside the rows."""
    return np.concatenate(
        [
            np.asarray(part(results[name]))[gathered.row[gathered.rows_of(name)]]
            for name in gathered.names
        ]
    )


def _answers(fit: Fit, gathered: Gathered, results: Mapping[str, Evaluation]) -> Iterator[Column]:
    """Yields what a loss of jrecipe makes of the outputs; others tell no more than a value."""
    loss = fit.task.loss
    if not isinstance(loss, losses.Loss) or loss.kind not in _KINDS:
        return
    if any(result.outputs is None for result in results.values()):
        return
    answers = _of_rows(gathered, results, lambda r: np.asarray(loss.decide(r.outputs)))
    if loss.kind == "number" and answers.size == len(gathered):
        answers = answers.reshape(len(gathered))
        targets = np.asarray(jax.tree.leaves(gathered.targets)[0]).reshape(len(gathered))
        yield Column("answer", answers, "number that the network gives")
        yield Column("error", answers - targets, "answer less target")
        return
    classes = classes_of(gathered.targets)
    if loss.kind == "number" or classes is None or answers.ndim != 1:
        return
    yield Column("answer", label_names(answers, gathered.data.class_names), "by the network")
    yield Column("right", answers == classes, "whether the answer is the label")
    sure = _of_rows(gathered, results, lambda r: as_predictions(r.outputs, loss.kind))
    if sure.ndim == 1:
        sure = np.stack([1 - sure, sure], axis=1)
    yield Column("confidence", sure.max(axis=1), "probability of the answer")
    if classes.min() >= 0 and classes.max() < sure.shape[1]:
        wrong = confidently_wrong(sure, classes)
        yield Column("inconsistent", wrong, "confidently answered otherwise")
