"""What a data set asks of a network: the kind and shape of its inputs, and how many outputs."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import numpy as np

from jrecipe.types import PyTree, TaskError

InputKind = Literal["vector", "table", "text", "picture", "grey", "series", "tokens", "other"]
_READ = 2**26  # bytes that are read of a source that is not in memory


@dataclasses.dataclass(frozen=True)
class Facts:
    """What `suggest` looks at.

    Attributes:
      kind: of the inputs; "grey" are pictures without an axis for the channel.
      shape: of one input.
      rows: training examples.
      targets: "classes", "binary", "multilabel", "number" or "tokens".
      outputs: numbers that the network gives per example, or per position for "tokens".
      squeeze: whether it gives [b] instead of [b, 1].
      vocabulary: token ids among the inputs, if they are tokens.
      lengths: whether the inputs are a pair of sequences and their lengths.
    """

    kind: InputKind
    shape: tuple[int, ...]
    rows: int
    targets: str
    outputs: int
    squeeze: bool = False
    vocabulary: int | None = None
    lengths: bool = False


def facts_of(data: Any) -> Facts:
    """Looks at a task, splits, a source, or a pair (inputs, targets).

    Raises:
      TaskError: for anything else, or inputs that are a pytree no network here takes.
    """
    inputs, targets, rows = _read(getattr(data, "train", data))
    example, lengths = inputs, isinstance(inputs, tuple | list) and len(inputs) == 2
    if lengths:
        example = inputs[0]
    if not hasattr(example, "shape"):
        raise TaskError(
            f"No network is known for inputs that are {type(example).__name__}; give a network of "
            "your own."
        )
    shape = tuple(example.shape[1:])
    kind = _input_kind(shape, np.dtype(example.dtype), data)
    asked = _target_kind(data, targets, shape, kind)
    if (lengths and kind not in ("tokens", "series")) or (asked == "tokens" != kind):
        raise TaskError(
            f"No network is known from inputs {example.dtype}{['b', *shape]}"
            f"{' and lengths' if lengths else ''} to targets {targets.dtype}"
            f"{['b', *targets.shape[1:]]}; give a network of your own."
        )
    ids = int(np.max(example)) + 1 if kind == "tokens" else None
    if asked == "tokens":
        pad = getattr(getattr(data, "loss", None), "pad", None)
        counted = targets if pad is None else targets[targets != pad]
        outputs = max(int(counted.max(initial=0)) + 1, ids or 0)
    elif asked == "classes":
        outputs = max(len(getattr(data, "class_names", ())), int(targets.max()) + 1)
    else:
        outputs = int(np.prod(targets.shape[1:], dtype=int))
    squeeze = asked in ("number", "binary") and targets.ndim == 1
    return Facts(kind, shape, rows, asked, outputs, squeeze, ids, lengths)


def _read(source: Any) -> tuple[PyTree, np.ndarray, int]:
    """Returns inputs and targets, all that are in memory or else some, and how many there are."""
    if isinstance(source, tuple | list) and len(source) == 2:
        inputs, targets = source
        if not isinstance(inputs, tuple | list | dict):
            inputs = np.asarray(inputs)
        return inputs, np.asarray(targets), len(targets)
    if not hasattr(source, "take") or not hasattr(source, "__len__") or hasattr(source, "shape"):
        raise TaskError(
            "suggest needs a jr.Task, jr.data splits, a source or a pair (inputs, targets), got "
            f"{type(source).__name__}; load a data set with jr.data.load."
        )
    rows = len(source)
    if hasattr(source, "inputs") and hasattr(source, "targets"):
        return source.inputs, np.asarray(source.targets), rows
    example = source.take(np.zeros(1, int))
    size = sum(int(np.asarray(leaf).nbytes) for leaf in jax.tree.leaves(example))
    count = max(1, min(rows, _READ // max(size, 1)))
    inputs, targets = source.take(np.linspace(0, rows - 1, count).astype(int))
    return inputs, np.asarray(getattr(source, "targets", targets)), rows


def _input_kind(shape: tuple[int, ...], dtype: np.dtype, data: Any) -> InputKind:
    encoder = type(getattr(data, "encoder", None)).__name__
    if len(shape) == 1 and encoder in ("TextEncoder", "TabularEncoder"):
        return "text" if encoder == "TextEncoder" else "table"
    if len(shape) == 1:
        return "tokens" if dtype.kind in "iu" and dtype.itemsize > 1 else "vector"
    if len(shape) == 3:
        return "picture"
    if len(shape) == 2:  # the rule by which arrays in files are taken for pictures
        grey = dtype == np.uint8 or shape[0] == shape[1] >= 8
        return "grey" if grey else "series"
    return "other"


def _target_kind(data: Any, targets: np.ndarray, shape: tuple[int, ...], kind: str) -> str:
    """Returns what the loss or the splits say the targets are, else what they look like."""
    said = getattr(data, "kind", None) or getattr(getattr(data, "loss", None), "kind", None)
    if said is not None:
        return str(said)
    if targets.dtype.kind in "iub":
        if targets.ndim == 1:
            return "classes"
        if kind == "tokens" and targets.shape[1:] == shape:
            return "tokens"
        return "multilabel"
    return "number"
