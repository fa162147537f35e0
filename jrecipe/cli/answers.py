"""What a network answers, in the words and units of the data."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from jrecipe import losses
from jrecipe.types import LossFunction, PyTree


@dataclasses.dataclass(frozen=True)
class Answer:
    """The answer for one example.

    Attributes:
      value: class name, number in the units of the data, list of either, or raw outputs.
      probability: of the answer, None where there is none.
      probabilities: class name -> probability, empty where there are none.
    """

    value: Any
    probability: float | None = None
    probabilities: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def text(self) -> str:
        """The answer on one line, without tabs."""
        return text_of(self.value)


def text_of(value: Any) -> str:
    """Returns a class name, number or list of these on one line.

    Example:
      >>> text_of(["a b", 0.25])
      'a b, 0.25'
    """
    if isinstance(value, list):
        return ", ".join(map(text_of, value)) or "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return " ".join(str(value).split())


def answers_of(
    loss: LossFunction,
    outputs: PyTree,
    class_names: tuple[str, ...] = (),
    scale: tuple[np.ndarray, np.ndarray] | None = None,
) -> list[Answer]:
    """Turns outputs into answers.

    Args:
      loss: of the task; a function that is none of `jr.losses` gives raw outputs.
      outputs: of the network, leading axis n.
      class_names: of classes 0..C-1; their numbers if empty.
      scale: mean and standard deviation of number targets before they were standardised.

    Returns:
      n answers.
    """
    if not isinstance(loss, losses.Loss) or not isinstance(outputs, np.ndarray):
        import jax

        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(outputs)]
        rows = [[leaf[i].tolist() for leaf in leaves] for i in range(len(leaves[0]))]
        return [Answer(row[0] if len(row) == 1 else row) for row in rows]
    decided = np.asarray(loss.decide(outputs))
    if loss.kind == "number":
        values = decided.astype(np.float64)
        if scale is not None:
            values = values * scale[1] + scale[0]
        return [Answer(row) for row in values.tolist()]
    if loss.kind == "tokens":
        return [Answer(row) for row in decided.tolist()]
    if loss.kind == "classes":
        share = _softmax(outputs)
        names = class_names or tuple(map(str, range(share.shape[-1])))
        return [
            Answer(names[i], float(row[i]), dict(zip(names, row.tolist(), strict=True)))
            for i, row in zip(decided.tolist(), share, strict=True)
        ]
    share = 1.0 / (1.0 + np.exp(-np.asarray(outputs, np.float64)))
    if loss.kind == "binary":
        share = share.reshape(len(share), -1)[:, 0]
        names = class_names if len(class_names) == 2 else ("0", "1")
        return [
            Answer(
                names[p > 0.5], float(max(p, 1 - p)), {names[0]: 1 - float(p), names[1]: float(p)}
            )
            for p in share
        ]
    names = class_names or tuple(map(str, range(share.shape[-1])))
    return [
        Answer(
            [name for name, yes in zip(names, flags, strict=True) if yes],
            None,
            dict(zip(names, row.tolist(), strict=True)),
        )
        for flags, row in zip(decided.astype(bool).tolist(), share, strict=True)
    ]


def truths_of(loss: LossFunction, targets: PyTree, class_names: tuple[str, ...] = ()) -> list[Any]:
    """Returns the targets as `answers_of` gives answers: names for classes, else as they are."""
    values = np.asarray(targets)
    if isinstance(loss, losses.Loss) and loss.kind == "classes" and class_names:
        return [class_names[i] for i in values.tolist()]
    if isinstance(loss, losses.Loss) and loss.kind == "multilabel" and class_names:
        return [
            [n for n, yes in zip(class_names, row, strict=True) if yes] for row in values.tolist()
        ]
    rows: list[Any] = values.tolist()
    return rows


def loss_of_kind(kind: str | None) -> LossFunction:
    """Returns a loss whose answers are those of its kind, for `answers_of`; None gives raw outputs.

    Raises:
      KeyError: for a kind whose answers need more than outputs.
    """
    if kind is None:
        return lambda outputs, targets: outputs
    makers: dict[str, Callable[[], LossFunction]] = {
        "classes": losses.softmax_cross_entropy,
        "binary": losses.sigmoid_cross_entropy,
        "multilabel": losses.multilabel_cross_entropy,
        "number": losses.l2,
        "tokens": losses.token_cross_entropy,
    }
    return makers[kind]()


def answer_lines(
    names: Sequence[str],
    answers: Sequence[Answer],
    truths: Sequence[Any] | None = None,
    *,
    as_json: bool = False,
) -> Iterator[str]:
    """Yields a line for each example: name, answer, probability, and the truth where it is known.

    Args:
      names: of the examples.
      answers: as many.
      truths: as many, or None.
      as_json: an object a line, in place of tabs.
    """
    for row, (name, answer) in enumerate(zip(names, answers, strict=True)):
        truth = [] if truths is None else [truths[row]]
        if as_json:
            line = {"name": name, "answer": answer.value}
            if answer.probability is not None:
                line["probability"] = answer.probability
            if answer.probabilities:
                line["probabilities"] = answer.probabilities
            if truth:
                line["target"] = truth[0]
            yield json.dumps(line, ensure_ascii=False)
        else:
            share = "" if answer.probability is None else f"{answer.probability:.4f}"
            true = [f"true: {text_of(value)}" for value in truth]
            yield "\t".join([name, answer.text, *([share] if share else []), *true])


def _softmax(outputs: np.ndarray) -> np.ndarray:
    logits = np.asarray(outputs, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share: np.ndarray = powers / powers.sum(axis=-1, keepdims=True)
    return share
