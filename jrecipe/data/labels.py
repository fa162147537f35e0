"""What the targets of a data set are: classes, numbers, or several labels at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.types import TaskError

KINDS = ("classes", "number", "multilabel")


class Targets(NamedTuple):
    """The targets of all splits in the form that the losses take.

    Attributes:
      values: split name -> int32[n] in 0..C-1 ("classes"), float32[n] or float32[n, k] ("number"),
        or float32[n, C] of 0 and 1 ("multilabel").
      kind: one of `KINDS`.
      names: the C class names, or () for numbers.
      notes: what was done to the targets, in sentences.
    """

    values: dict[str, np.ndarray]
    kind: str
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_targets(
    raw: Mapping[str, Any],
    where: str,
    *,
    kind: str | None = None,
    names: Sequence[str] = (),
    notice: Notice = refuse,
) -> Targets:
    """Finds out what the targets are and brings them into form.

    Text and bool are classes. Whole numbers are classes if at most max(20, sqrt(n)) values occur
    and not nearly every row has its own, else numbers. Two axes are one-hot classes, several
    labels, or numbers.

    Args:
      raw: split name -> targets with a leading axis, as stored.
      where: the file or data set, for error messages.
      kind: one of `KINDS` to insist, or None to look.
      names: class names in the order of the stored integers 0..C-1, if known.
      notice: told of a class that is the only one.

    Raises:
      TaskError: fewer than two classes where `notice` refuses that, labels that are not whole where
        classes are asked for, missing targets, or text that is different in nearly every row.
    """
    if kind is not None and kind not in KINDS:
        raise TaskError(f"kind needs to be one of {', '.join(KINDS)}, got {kind!r}.")
    arrays = {split: _plain(values, f"{where} ({split})") for split, values in raw.items()}
    if len({array.ndim for array in arrays.values()}) > 1:
        shapes = ", ".join(f"{split} {array.shape}" for split, array in arrays.items())
        raise TaskError(f"{where}: targets have different shapes in the splits: {shapes}.")
    joined = np.concatenate(list(arrays.values()))
    notes: tuple[str, ...] = ()
    if joined.ndim == 2 and kind != "number" and bool(np.isin(joined, (0, 1)).all()):
        if kind != "multilabel" and bool((joined.sum(axis=1) == 1).all()):
            arrays = {split: array.argmax(axis=1) for split, array in arrays.items()}
            joined, kind = joined.argmax(axis=1), "classes"
            notes = ("One-hot targets were read as class labels.",)
        else:
            width = joined.shape[1]
            found = tuple(names) or tuple(str(i) for i in range(width))
            cast = {split: array.astype(np.float32) for split, array in arrays.items()}
            return Targets(cast, "multilabel", found, notes)
    if kind == "multilabel":
        raise TaskError(
            f"{where}: several labels need targets [n, C] of 0 and 1, got {joined.dtype} "
            f"{list(joined.shape)}."
        )
    if kind is None:
        kind = "classes" if joined.ndim == 1 and _few(joined, bool(names), where) else "number"
        if kind == "number" and joined.ndim == 1 and joined.dtype.kind in "iu":
            notes += (
                f"Targets have {len(np.unique(joined))} different whole values and were read as "
                "numbers; pass kind='classes' if they are classes.",
            )
    if kind == "number":
        if joined.dtype.kind == "U":
            raise TaskError(f"{where}: targets are text, as {joined[0]!r}; they are no numbers.")
        cast = {split: array.astype(np.float32) for split, array in arrays.items()}
        return Targets(cast, kind, (), notes)
    return _classes(arrays, joined, where, names, notes, notice)


def _plain(values: Any, where: str) -> np.ndarray:
    """Returns targets as int, float or text of one or two axes, without missing ones."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        array = array.astype(np.int32)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "iufU":
        raise TaskError(
            f"{where}: targets have dtype {array.dtype}; give whole numbers, floats or text."
        )
    if array.ndim > 1 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim not in (1, 2):
        raise TaskError(
            f"{where}: targets have shape {list(np.shape(values))}; give one per example, [n], "
            "or [n, k]."
        )
    if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        raise TaskError(
            f"{where}: {int(bad.sum())} targets are NaN or infinite, first in row "
            f"{int(np.argmax(bad))}; drop these rows."
        )
    return array


def _few(values: np.ndarray, named: bool, where: str) -> bool:
    """Says whether 1-D targets look like classes."""
    if named:
        return True
    distinct, n = len(np.unique(values)), len(values)
    if values.dtype.kind == "U":
        if distinct > max(20, n // 2):
            raise TaskError(
                f"{where}: the targets have {distinct} different texts in {n} rows, so they are no "
                "classes; name the target column, e.g. target='label'."
            )
        return True
    if values.dtype.kind not in "iu" or distinct > max(20.0, n**0.5):
        return False
    # In a few rows, nearly all different values may be classes only if they count from 0.
    return distinct <= 0.75 * n or bool(np.array_equal(np.unique(values), np.arange(distinct)))


def _classes(
    arrays: dict[str, np.ndarray],
    joined: np.ndarray,
    where: str,
    names: Sequence[str],
    notes: tuple[str, ...],
    notice: Notice,
) -> Targets:
    if joined.ndim != 1:
        raise TaskError(f"{where}: class labels need shape [n], got {list(joined.shape)}.")
    if joined.dtype.kind == "f":
        whole = joined == np.round(joined)
        if not bool(whole.all()):
            row = int(np.argmin(whole))
            raise TaskError(
                f"{where}: class labels need to be whole numbers, got {joined[row]:g} in row {row};"
                " use kind='number' for a regression."
            )
        arrays = {split: array.astype(np.int64) for split, array in arrays.items()}
        joined = joined.astype(np.int64)
    values = np.unique(joined)
    if joined.dtype.kind == "U":
        values = np.array(sorted(values, key=_natural))
    if len(values) < 2:
        notice(
            Damage(
                path=where,
                reason=f"all targets are {values[0].item()!r}",
                what="only",
                fix="classes need two values or more",
            )
        )
    if names and joined.dtype.kind != "U":
        if values[0] < 0 or values[-1] >= len(names):
            raise TaskError(
                f"{where}: labels span {values[0]} to {values[-1]}, but there are {len(names)} "
                "class names."
            )
        coded = {split: array.astype(np.int32) for split, array in arrays.items()}
        return Targets(coded, "classes", tuple(str(name) for name in names), notes)
    if joined.dtype.kind != "U" and not np.array_equal(values, np.arange(len(values))):
        notes += (f"Labels {_some(values)} were renumbered 0 to {len(values) - 1}.",)
    order = np.argsort(values, kind="stable")  # text stands in natural order, which is not sorted
    coded = {
        split: order[np.searchsorted(values[order], array)].astype(np.int32)
        for split, array in arrays.items()
    }
    return Targets(coded, "classes", tuple(str(value) for value in values), notes)


def _natural(text: str) -> tuple[int, float, str]:
    """Sorts "2" before "10", and numbers before words."""
    try:
        return (0, float(text), text)
    except ValueError:
        return (1, 0.0, text)


def _some(values: np.ndarray) -> str:
    shown = ", ".join(str(value) for value in values[:5])
    return shown if len(values) <= 5 else f"{shown}, ..."
