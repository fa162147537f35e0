"""All examples of a data set side by side, as they are stored and as a person sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from jrecipe.checks.annotations import Reading, read_annotations
from jrecipe.checks.examples import decoded
from jrecipe.data.picture_file import PictureFile
from jrecipe.explore.data import Data
from jrecipe.figures import Annotations
from jrecipe.task import spread
from jrecipe.types import PyTree, Source, TaskError

BYTES = 3_000_000_000  # of inputs that are read at the most
_CHUNK = 4096  # rows decoded at once
_SIDE = 64  # pixels of the longer side of a picture that are compared
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True, eq=False)
class Gathered:
    """The rows of all splits, one after the other.

    Attributes:
      data: where they come from.
      split: str[n], the split of each row.
      row: int[n], its number there.
      inputs: as they are stored, leading axis n.
      targets: the same.
      pictures: uint8[n, h, w, c] of 1 or 3 channels with sides of at most 64, None if inputs are
        no pictures.
      texts: the n texts as they were stored, None if inputs are no texts.
      files: the n files, None if inputs were no picture files.
      notes: what was left out, in sentences.
      covered: shares of height and width that `pictures` have of those that were thinned.
      reading: how targets mark the pictures, None if inputs are no pictures.
    """

    data: Data
    split: np.ndarray
    row: np.ndarray
    inputs: PyTree
    targets: PyTree
    pictures: np.ndarray | None = None
    texts: tuple[str, ...] | None = None
    files: tuple[PictureFile, ...] | None = None
    notes: tuple[str, ...] = ()
    covered: tuple[float, float] = (1.0, 1.0)
    reading: Reading | None = None

    def __len__(self) -> int:
        return len(self.split)

    @property
    def names(self) -> tuple[str, ...]:
        """The splits, training first."""
        return tuple(dict.fromkeys(self.split.tolist()))

    def rows_of(self, split: str) -> np.ndarray:
        """Returns the places int[k] of a split's rows among all."""
        return np.flatnonzero(self.split == split)

    def view(self, places: np.ndarray) -> np.ndarray | Sequence[str]:
        """Returns examples as a person sees them: pictures float32[k, h, w, c] in [0, 1] or texts.

        Args:
          places: int[k], numbers among all rows.
        """
        if self.texts is not None:
            return [self.texts[int(place)] for place in places]
        if self.pictures is not None:
            return self.pictures[places].astype(np.float32) / 255
        shown = decoded(self.data, jax.tree.map(lambda x: x[places], self.inputs))
        return [str(text) for text in shown]

    def annotate(self, places: np.ndarray) -> Annotations | None:
        """Returns what is marked on the pictures of examples, None if nothing can be.

        Args:
          places: int[k], numbers among all rows.
        """
        if self.reading is None:
            return None
        some = jax.tree.map(lambda x: x[places], (self.inputs, self.targets))
        return self.reading.annotations(*some, covered=self.covered, finest=_SIDE)


def gather(data: Data, *, most: int = BYTES) -> Gathered:
    """Reads all examples of all splits.

    Splits whose inputs or targets have another structure or shape than those of the first one are
    left out, which `notes` says; the check `corrupt` tells what differs.

    Args:
      data: what to look at.
      most: bytes of inputs above which each split is thinned evenly.

    Raises:
      TaskError: if there are not as many texts, or files, as examples in a split.
    """
    parts: list[tuple[str, np.ndarray, PyTree, PyTree]] = []
    notes: list[str] = []
    one = next(iter(data.splits.values())).take(np.arange(1))
    wide = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(one[0]))
    total = wide * sum(len(source) for source in data.splits.values())
    thin = max(1, -(-total // most))
    for name, source in data.splits.items():
        rows = np.arange(len(source)) if thin == 1 else spread(len(source), len(source) // thin)
        inputs, targets = _read(source, rows)
        first = parts[0][2:] if parts else (inputs, targets)
        if not _alike(first, (inputs, targets)):
            notes.append(f"The examples of {name} have another shape than those of {parts[0][0]}.")
            continue
        parts.append((name, rows, inputs, targets))
    if thin > 1:
        notes.append(f"One in {thin} examples was read, as all take {total / 1e9:.1f} GB.")
    inputs = jax.tree.map(lambda *x: np.concatenate(x), *(part[2] for part in parts))
    targets = jax.tree.map(lambda *x: np.concatenate(x), *(part[3] for part in parts))
    rows_of = {name: rows for name, rows, *_ in parts}
    pictures, covered, reading = _pictures(data, inputs, targets)
    if reading is not None and reading.note:
        notes.append(reading.note)
    return Gathered(
        data=data,
        split=np.concatenate([np.full(len(rows), name) for name, rows, *_ in parts]),
        row=np.concatenate([rows for _, rows, *_ in parts]),
        inputs=inputs,
        targets=targets,
        pictures=pictures,
        texts=_beside(data, "texts", data.texts, rows_of),
        files=_beside(data, "files", data.files, rows_of),
        notes=tuple(notes),
        covered=covered,
        reading=reading,
    )


def _beside(
    data: Data, what: str, told: Mapping[str, Sequence[_T]], rows_of: Mapping[str, np.ndarray]
) -> tuple[_T, ...] | None:
    """Returns what is told of each row, or None where a split has nothing of the kind."""
    if not all(name in told for name in rows_of):
        return None
    for name in rows_of:
        rows = len(data.splits[name])
        if len(told[name]) != rows:
            raise TaskError(
                f"{what} need one for each of {rows} examples of {name}, got {len(told[name])}."
            )
    return tuple(told[name][int(row)] for name, rows in rows_of.items() for row in rows)


def _read(source: Source, rows: np.ndarray) -> tuple[PyTree, PyTree]:
    """Reads rows in parts, so that a source which encodes as it reads needs no second copy.

    Rows of several lengths (`buckets`) are read at once, as all of them are padded alike then.
    """
    if getattr(source, "buckets", None) is not None:
        return jax.tree.map(np.asarray, source.take(rows))
    parts = [source.take(rows[start : start + 8192]) for start in range(0, len(rows), 8192)]
    if len(parts) == 1:
        return jax.tree.map(np.asarray, parts[0])
    return jax.tree.map(lambda *x: np.concatenate([np.asarray(part) for part in x]), *parts)


def _alike(first: PyTree, inputs: PyTree) -> bool:
    a, b = jax.tree.leaves(first), jax.tree.leaves(inputs)
    structure: Any = jax.tree.structure(first)
    return bool(structure == jax.tree.structure(inputs)) and [np.shape(x)[1:] for x in a] == [
        np.shape(x)[1:] for x in b
    ]


def _pictures(
    data: Data, inputs: PyTree, targets: PyTree
) -> tuple[np.ndarray | None, tuple[float, float], Reading | None]:
    """Decodes all inputs in parts and keeps them as bytes, thinned to sides of 64 at the most.

    Returns also which shares of height and width are left, and how targets mark the pictures.
    """
    nothing = None, (1.0, 1.0), None
    count = len(jax.tree.leaves(inputs)[0])
    # One range for all, where pictures are stretched to what occurs.
    few = decoded(data, jax.tree.map(lambda x: x[spread(count, 256)], inputs))
    if not isinstance(few, np.ndarray) or few.ndim not in (3, 4):
        return nothing
    if few.ndim == 4 and few.shape[3] not in (1, 3):
        return nothing
    high, wide = few.shape[1:3]
    step = -(-max(high, wide) // _SIDE)
    parts = []
    for start in range(0, count, _CHUNK):
        some = jax.tree.map(lambda x, s=start: x[s : s + _CHUNK], inputs)
        shown = np.asarray(decoded(data, some), np.float32)
        shown = shown[..., None] if shown.ndim == 3 else shown
        parts.append(np.rint(_thinned(shown, step) * 255).astype(np.uint8))
    return (
        np.concatenate(parts),
        (high // step * step / high, wide // step * step / wide),
        read_annotations(inputs, targets, (high, wide), data.class_names),
    )


def _thinned(pictures: np.ndarray, step: int) -> np.ndarray:
    """Averages squares of `step` pixels; what is left at the edge is dropped."""
    if step == 1:
        return pictures
    n, h, w, c = pictures.shape
    cut = pictures[:, : h // step * step, : w // step * step]
    means: np.ndarray = cut.reshape(n, h // step, step, w // step, step, c).mean(axis=(2, 4))
    return means
