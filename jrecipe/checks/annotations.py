"""What is marked on pictures: masks, boxes and key points, understood or left out (A7, B10).

Names decide, as augmentations know them (`jrecipe.augment.fields`), then shape, dtype and range.
What could mean something else is not drawn, and a sentence says why.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jrecipe.augment.fields import FIELDS
from jrecipe.augment.pictures import IMAGE, last_name
from jrecipe.checks.kind_names import kind_names
from jrecipe.checks.marked_places import (
    Boxes,
    Points,
    boxes_there,
    points_there,
    why_no_boxes,
    why_no_points,
)
from jrecipe.checks.marked_regions import Regions, read_regions
from jrecipe.figures import Annotations, Marks
from jrecipe.types import PyTree

Path = tuple[Any, ...]
Leaves = Mapping[Path, np.ndarray]

_ROWS = 512  # examples that are looked at to understand targets
_TURNED = 0.05  # by which pictures shown and pictures stored may differ in their ratio of sides
_KIND = re.compile(r"class|label|kind|categor")
_CALLED = {
    "mask": re.compile(r"mask|segm"),
    "boxes": re.compile(r"box"),
    "keypoints": re.compile(r"key_?point|landmark|joint"),
}


@dataclasses.dataclass(frozen=True)
class _Part:
    """An array that marks something, with what stands beside it."""

    how: Regions | Boxes | Points
    path: Path
    valid: Path | None = None
    kinds: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(p for p in (self.path, self.valid, self.kinds) if p is not None)


@dataclasses.dataclass(frozen=True)
class Reading:
    """How the arrays of a task mark its pictures, decided once and then used for any rows.

    Attributes:
      parts: the arrays that do.
      size: height and width of the pictures in the pixels that places are counted in.
      names: of all that can be marked.
      note: how it was understood and what was left out, in sentences; "" if there is nothing.
    """

    parts: tuple[_Part, ...]
    size: tuple[int, int]
    names: tuple[str, ...]
    note: str

    def annotations(
        self,
        inputs: PyTree,
        targets: PyTree,
        *,
        covered: tuple[float, float] = (1.0, 1.0),
        finest: int = 256,
    ) -> Annotations | None:
        """Returns what is marked on each of some examples, None where there is nothing to say.

        Args:
          inputs: with a leading axis; places are counted in the pixels of these pictures.
          targets: the same; if they are built otherwise than those that were read, nothing is.
          covered: shares of the height and of the width that pictures show, from the upper left.
          finest: pixels of the longer side of masks; larger ones are thinned.
        """
        if not self.note:
            return None
        leaves = _leaves(inputs, targets)
        if any(path not in leaves for part in self.parts for path in part.paths):
            return None
        size = _stored_size(inputs) or self.size
        high, wide = (side * share for side, share in zip(size, covered, strict=True))
        marks = []
        for i in range(len(next(iter(leaves.values())))):
            found: dict[type, list[Any]] = {Regions: [], Boxes: [], Points: []}
            for part in self.parts:
                found[type(part.how)] += _of_row(part, leaves, i, (high, wide), finest)
            marks.append(
                Marks(
                    height=high,
                    width=wide,
                    regions=found[Regions],
                    boxes=found[Boxes],
                    points=found[Points],
                )
            )
        return Annotations(marks=marks, names=self.names, note=self.note)

    def unread(self, target: PyTree) -> list[np.ndarray]:
        """Returns the arrays of one target that are not drawn."""
        drawn = {path for part in self.parts for path in part.paths}
        leaves = _leaves((), target)
        return [leaf for path, leaf in leaves.items() if path not in drawn]


def read_annotations(
    inputs: PyTree, targets: PyTree, shown: tuple[int, int], class_names: Sequence[str] = ()
) -> Reading:
    """Understands what marks the pictures of a data set.

    Args:
      inputs: array or pytree, leading axis n; pictures are the inputs, or the one called "image".
      targets: the same.
      shown: height and width of the pictures as a person sees them.
      class_names: of the classes 0 to C - 1, or ().
    """
    size = _stored_size(inputs) or shown
    count = len(jax.tree.leaves(inputs)[0])
    rows = np.arange(0, count, max(1, count // _ROWS))
    leaves = {path: leaf[rows] for path, leaf in _leaves(inputs, targets).items()}
    parts: list[_Part] = []
    problems: list[str] = []
    for path, leaf in leaves.items():
        role = _role(path, leaf, leaves, size)
        if not role:
            continue
        part = _read(role, path, leaves, size, class_names)
        if isinstance(part, str):
            problems.append(part)
        else:
            parts.append(part)
    if parts and abs(math.log(size[0] * shown[1] / (size[1] * shown[0]))) > _TURNED:
        problems = [
            f"Annotations are not drawn: pictures are shown at {shown[0]}x{shown[1]} pixels, which "
            f"is another part of those of {size[0]}x{size[1]}."
        ]
        parts = []
    names: dict[str, None] = {}
    if parts:
        names = dict.fromkeys(class_names)
    for part in parts:
        names |= dict.fromkeys(part.how.names)
    drawn = [part.how.said for part in parts]
    note = [f"Drawn: {'; '.join(drawn)}."] if drawn else []
    note += [problem[0].upper() + problem[1:] for problem in problems]
    return Reading(tuple(parts), size, tuple(names), " ".join(note))


def counted(marks: Marks) -> str:
    """Returns what is marked on a picture in a few words, "" for nothing.

    Example:
      >>> counted(Marks(height=4, width=4, boxes=[("", (0, 0, 1, 1))], points=[("", (1, 1))] * 2))
      '1 box, 2 key points'
    """
    kinds = (
        (len(marks.regions), "mask", "masks"),
        (len(marks.boxes), "box", "boxes"),
        (len(marks.points), "key point", "key points"),
    )
    return ", ".join(f"{n} {one if n == 1 else more}" for n, one, more in kinds if n)


def _leaves(inputs: PyTree, targets: PyTree) -> dict[Path, np.ndarray]:
    found = jax.tree_util.tree_leaves_with_path((inputs, targets))
    return {path: np.asarray(leaf) for path, leaf in found}


def _stored_size(inputs: PyTree) -> tuple[int, int] | None:
    """Returns height and width of the pictures among inputs, None if these are not pictures."""
    leaves = jax.tree_util.tree_leaves_with_path(inputs)
    pictures = [x for path, x in leaves if len(leaves) == 1 or last_name(path) == IMAGE]
    if len(pictures) != 1 or np.ndim(pictures[0]) not in (3, 4):
        return None
    _, high, wide, *_ = np.shape(pictures[0])
    return high, wide


def _role(path: Path, leaf: np.ndarray, leaves: Leaves, size: tuple[int, int]) -> str:
    """Returns which of "mask", "boxes" and "keypoints" an array can be by its name and shape."""
    word = last_name(path)
    if path[0].idx == 0 and word not in FIELDS:  # inputs: only what is called by its very name
        return ""
    if leaf.dtype.kind not in "fiub":
        return ""
    if leaf.ndim in (3, 4) and leaf.shape[1:3] == size and _called(word, "mask"):
        return "" if _is_picture_again(path, leaves) else "mask"
    if leaf.dtype.kind == "b" or leaf.ndim != 3:
        return ""
    if leaf.shape[2] == 4 and _called(word, "boxes"):
        return "boxes"
    if not _called(word, "keypoints") or (not word and leaf.dtype.kind != "f"):
        return ""
    with_sight = leaf.shape[2] == 3 and set(np.unique(leaf[..., 2]).tolist()) <= {0, 1, 2}
    return "keypoints" if leaf.shape[2] == 2 or (word and with_sight) else ""


def _called(word: str, role: str) -> bool:
    """Whether an array of this name, or of none, can have a role."""
    return not word or (
        not word.endswith("_valid") and _CALLED[role].search(word.lower()) is not None
    )


def _is_picture_again(path: Path, leaves: Leaves) -> bool:
    """Whether a target is an input once more, as for an autoencoder."""
    flat = leaves[path].ravel()
    return any(
        other[0].idx == 0 and leaf.size == flat.size and np.array_equal(leaf.ravel(), flat)
        for other, leaf in leaves.items()
        if other != path
    )


def _read(
    role: str, path: Path, leaves: Leaves, size: tuple[int, int], class_names: Sequence[str]
) -> _Part | str:
    leaf, word = leaves[path], last_name(path)
    said = word or "the target"
    declared = word in FIELDS
    if role == "mask":
        read = read_regions(leaf, word or "mask", class_names, alone=len(path) == 1)
        return read if isinstance(read, str) else _Part(read, path)
    valid = _beside(path, leaves, lambda name: name == f"{word}_valid", "b")
    flags = None if valid is None else leaves[valid]
    if role == "keypoints":
        why = why_no_points(leaf, points_there(leaf, flags), size, said, declared=declared)
        how = Points(leaf.shape[1], f"{said} as x, y in pixels")
        return why or _Part(how, path, valid)
    kinds = _beside(path, leaves, lambda name: name == f"{word}_class", "iu") or _beside(
        path, leaves, lambda name: not name or _KIND.search(name.lower()) is not None, "iu"
    )
    there = boxes_there(leaf, flags, None if kinds is None else leaves[kinds])
    why = why_no_boxes(leaf, there, size, said, declared=declared)
    if why:
        return why
    said += " as x0, y0, x1, y1 in pixels"
    if kinds is None:
        return _Part(Boxes(lambda _: "", said=said), path, valid)
    values = leaves[kinds][there]
    name = kind_names(values, class_names, "class", from_zero=True)
    said += f", named by {last_name(kinds) or 'the whole numbers beside them'}"
    names = tuple(name(value) for value in np.unique(values).tolist())
    return _Part(Boxes(name, names, said), path, valid, kinds)


def _beside(path: Path, leaves: Leaves, fits: Any, kind: str) -> Path | None:
    """Returns the one array [b, n] beside another [b, n, ...] whose name and dtype fit, or None."""
    found = [
        other
        for other, leaf in leaves.items()
        if other != path
        and other[:-1] == path[:-1]
        and len(path) > 1
        and leaf.shape == leaves[path].shape[:2]
        and leaf.dtype.kind in kind
        and fits(last_name(other))
    ]
    return found[0] if len(found) == 1 else None


def _of_row(
    part: _Part, leaves: Leaves, i: int, extent: tuple[float, float], finest: int
) -> Sequence[Any]:
    own = leaves[part.path][i]
    if isinstance(part.how, Regions):
        return part.how.of(_thinned(own, extent, finest))
    valid = None if part.valid is None else leaves[part.valid][i]
    if isinstance(part.how, Points):
        return part.how.of(own, valid)
    return part.how.of(own, valid, None if part.kinds is None else leaves[part.kinds][i])


def _thinned(mask: np.ndarray, extent: tuple[float, float], finest: int) -> np.ndarray:
    """Returns the part of a mask that is shown, by its nearest pixels where it has too many."""
    shrink = min(1.0, finest / max(extent))
    rows, columns = (
        ((np.arange(max(1, round(side * shrink))) + 0.5) / shrink).astype(int) for side in extent
    )
    picked: np.ndarray = mask[np.minimum(rows, mask.shape[0] - 1)][
        :, np.minimum(columns, mask.shape[1] - 1)
    ]
    return picked
