"""A9: look at the predictions - what is right, what is wrong, and how sure the network was."""

from __future__ import annotations

import jax
import numpy as np

from jrecipe import losses
from jrecipe.checks.dynamics import as_predictions
from jrecipe.checks.examples import decoded
from jrecipe.figures import Bars, Figure, Matrix, Pictures, Table
from jrecipe.task import Task
from jrecipe.train.evaluate import Evaluation
from jrecipe.types import PyTree

SHOWN = 24


def confusion(targets: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns counts int[classes, classes]: rows are the targets, columns the answers."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (targets, answers), 1)
    return table


def look_at_predictions(task: Task, split: str, result: Evaluation) -> tuple[Figure, ...]:
    """Draws the confusion matrix, the loss of each class and the most confident mistakes.

    Args:
      task: with one of jrecipe's losses; other losses give nothing to draw.
      split: the split that was evaluated.
      result: its evaluation, outputs kept.
    """
    loss = task.loss
    if not isinstance(loss, losses.Loss) or result.outputs is None:
        return ()
    inputs, targets = jax.tree.map(np.asarray, task.splits[split].take(np.arange(result.n)))
    answers = np.asarray(loss.decide(result.outputs))
    if loss.kind == "number":
        return _largest_errors(task, inputs, targets, answers, result)
    if loss.kind != "classes":
        return ()
    sure = as_predictions(result.outputs, loss.kind).max(axis=-1)
    classes = result.outputs.shape[-1]
    names = task.class_names or tuple(str(i) for i in range(classes))
    wrong = np.flatnonzero(answers != targets)
    worst = wrong[np.argsort(-sure[wrong], kind="stable")][:SHOWN]
    captions = [f"{names[targets[i]]}, said {names[answers[i]]} ({sure[i]:.0%})" for i in worst]
    figures: list[Figure] = []
    if classes <= 30:
        figures.append(
            Matrix(
                title=f"Confusion on {split}",
                values=confusion(targets, answers, classes),
                rows=names,
                columns=names,
                ylabel="label",
                xlabel="answer",
            )
        )
        figures.append(
            Bars(
                title=f"Mean loss of each class on {split}",
                values={
                    names[c]: float(result.values[targets == c].mean())
                    for c in range(classes)
                    if (targets == c).any()
                },
                xlabel="loss",
            )
        )
    figures.extend(_examples(task, inputs, worst, captions, f"Most confident mistakes on {split}"))
    return tuple(figures)


def _largest_errors(
    task: Task, inputs: PyTree, targets: np.ndarray, answers: np.ndarray, result: Evaluation
) -> tuple[Figure, ...]:
    worst = np.argsort(-result.values, kind="stable")[:SHOWN]
    flat_targets, flat = targets.reshape(len(targets), -1), answers.reshape(len(targets), -1)
    captions = [f"{flat_targets[i, 0]:.3g}, said {flat[i, 0]:.3g}" for i in worst]
    return tuple(_examples(task, inputs, worst, captions, "Largest errors"))


def _examples(
    task: Task, inputs: PyTree, rows: np.ndarray, captions: list[str], title: str
) -> list[Figure]:
    """Shows rows as pictures or texts, whatever a person can look at."""
    if not len(rows):
        return []
    shown = decoded(task, jax.tree.map(lambda x: x[rows], inputs))
    if isinstance(shown, np.ndarray):
        return [Pictures(title=title, images=shown, captions=captions)]
    pairs = [(caption, text[:300]) for caption, text in zip(captions, shown, strict=True)]
    return [Table(title=title, columns=("target and answer", "input"), rows=pairs)]
