"""What moves with a picture: masks, boxes and key points, recognised by their names.

Wherever they are in inputs or targets (mappings, dataclasses, nested or not), leaves with these
names belong to the pictures:

- "mask": int, bool or float [b, h, w] or [b, h, w, c];
- "boxes": float32[b, n, 4], `x0, y0, x1, y1` in pixels, from 0 to w and 0 to h;
- "keypoints": float32[b, n, 2], `x, y` in pixels; the centre of the first pixel is (0.5, 0.5);
- "boxes_valid", "keypoints_valid": bool[b, n] beside them: which of them are there.

Targets that are one array [b, h, w] or [b, h, w, c] of the pictures' size are a mask as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.numbers import is_concrete
from jrecipe.augment.pictures import IMAGE, last_name, pictures_of
from jrecipe.types import Array, Batch, PyTree, TaskError

FIELDS = ("mask", "boxes", "keypoints", "boxes_valid", "keypoints_valid")
Path = tuple[Any, ...]
Change = Callable[[Array], Array]


def has_fields(batch: Batch) -> bool:
    """Whether a batch has pictures, and beside them something that moves with them."""
    leaves = jax.tree_util.tree_leaves_with_path(batch.inputs)
    pictures = [x for path, x in leaves if len(leaves) == 1 or last_name(path) == IMAGE]
    beside = jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets))
    return any(np.ndim(x) == 4 for x in pictures) and any(
        last_name(path) in FIELDS for path, _ in beside
    )


def fields_of(batch: Batch, name: str = "augment") -> dict[Path, tuple[str, Array]]:
    """Returns `{path: (field, array)}` of all that moves with the pictures, shapes checked.

    Raises:
      TaskError: if a field has a shape or dtype that it cannot have.
    """
    b, h, w, _ = pictures_of(batch, name).shape
    found: dict[Path, tuple[str, Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets)):
        field = last_name(path)
        if len(path) == 1:  # inputs or targets that are one array
            is_mask = path[0].idx == 1 and np.ndim(leaf) in (3, 4) and leaf.shape[:3] == (b, h, w)
            field = "mask" if is_mask else ""
        if field in FIELDS:
            _check_shape(leaf, field, _name(path), (b, h, w), name)
            found[path] = (field, leaf)
    for path, (field, leaf) in found.items():
        if field.endswith("_valid"):
            of = field.removesuffix("_valid")
            beside = _beside(found, path, of)
            if beside is None or beside[1].shape[:2] != leaf.shape:
                raise TaskError(
                    f"{name} needs {of!r} [b, n, ...] beside {_name(path)}, which has shape "
                    f"{tuple(leaf.shape)}; got {None if beside is None else beside[1].shape}."
                )
    return found


def validate(batch: Batch, name: str = "augment.validate") -> None:
    """Checks that masks, boxes and key points fit their pictures, values included.

    Shapes are checked whenever an augmentation moves a picture. Values can be looked at only where
    arrays are concrete: call this once on real data, or one augmentation outside of `jit`, which
    does so by itself.

    Args:
      batch: see the head of this module for the names.
      name: what error messages call who asked.

    Raises:
      TaskError: pictures that are none; a mask of another size; boxes that are not in the picture,
        turned around, or not finite, unless "boxes_valid" leaves them out; key points that are not
        finite.
    """
    fields = fields_of(batch, name)
    _, h, w, _ = pictures_of(batch, name).shape
    for path, (field, leaf) in fields.items():
        if field not in ("boxes", "keypoints") or not is_concrete(leaf):
            continue
        valid = _beside(fields, path, f"{field}_valid")
        there = np.ones(leaf.shape[:2], bool) if valid is None else valid[1]
        if is_concrete(there):
            _check_values(np.asarray(leaf), np.asarray(there), field, (h, w), _name(path), name)


def changed_fields(
    batch: Batch, name: str, *, mask: Change, points: Change, size: tuple[int, int]
) -> Batch:
    """Returns the batch with its masks, boxes and key points moved; pictures are left alone.

    Args:
      batch: with or without any of these.
      name: the augmentation that asked.
      mask: moves masks [b, h, w, c] of any dtype.
      points: moves points float32[b, k, 2].
      size: height and width of the pictures.
    """
    validate(batch, name)
    fields = fields_of(batch, name)
    if not fields:
        return batch
    new: dict[Path, Array] = {}
    for path, (field, leaf) in fields.items():
        if field == "mask":
            new[path] = mask(leaf) if leaf.ndim == 4 else mask(leaf[..., None])[..., 0]
        elif field in ("boxes", "keypoints"):
            moved, inside = (move_boxes if field == "boxes" else move_points)(leaf, points, size)
            new[path] = moved
            valid = _beside_path(fields, path, f"{field}_valid")
            if valid is not None:
                new[valid] = fields[valid][1] & inside
    return with_leaves(batch, new)


def with_leaves(batch: Batch, new: dict[Path, Array]) -> Batch:
    """Returns the batch with the leaves at these paths of `(inputs, targets)` replaced."""

    def part(index: int, tree: PyTree) -> PyTree:
        mine = {path[1:]: leaf for path, leaf in new.items() if path[0].idx == index}
        if not mine:
            return tree
        return jax.tree_util.tree_map_with_path(lambda path, leaf: mine.get(path, leaf), tree)

    return batch._replace(inputs=part(0, batch.inputs), targets=part(1, batch.targets))


def move_boxes(boxes: Array, points: Change, size: tuple[int, int]) -> tuple[Array, Array]:
    """Returns the boxes around the four moved corners, cut at the picture, and what is left.

    Args:
      boxes: float32[b, n, 4].
      points: moves points float32[b, k, 2].
      size: height and width of the pictures.

    Returns:
      `(boxes float32[b, n, 4], inside bool[b, n])`; inside are those with an area.
    """
    b, n, _ = boxes.shape
    corners = boxes[:, :, jnp.array([0, 1, 2, 1, 0, 3, 2, 3])].reshape(b, 4 * n, 2)
    moved = points(corners).reshape(b, n, 4, 2)
    most = jnp.array([size[1], size[0]], moved.dtype)[None, None]
    low, high = (jnp.clip(side, 0, most) for side in (moved.min(axis=2), moved.max(axis=2)))
    inside = jnp.all(high > low, axis=-1)
    return jnp.concatenate([low, high], axis=-1).astype(boxes.dtype), inside


def move_points(given: Array, points: Change, size: tuple[int, int]) -> tuple[Array, Array]:
    """Returns moved key points [b, n, 2], and bool[b, n]: which are within the picture."""
    moved = points(given)
    most = jnp.array([size[1], size[0]], moved.dtype)[None, None]
    return moved.astype(given.dtype), jnp.all((moved >= 0) & (moved <= most), axis=-1)


def beside(batch: Batch, path: Path, name: str) -> tuple[Path, Array] | None:
    """Returns `(path, leaf)` of what is called `name` in the mapping where `path` is, or None."""
    for other, leaf in jax.tree_util.tree_leaves_with_path((batch.inputs, batch.targets)):
        if other[:-1] == path[:-1] and last_name(other) == name:
            return other, leaf
    return None


def _beside_path(fields: dict[Path, tuple[str, Array]], path: Path, name: str) -> Path | None:
    for other, (field, _) in fields.items():
        if field == name and other[:-1] == path[:-1]:
            return other
    return None


def _beside(
    fields: dict[Path, tuple[str, Array]], path: Path, name: str
) -> tuple[str, Array] | None:
    other = _beside_path(fields, path, name)
    return None if other is None else fields[other]


def _name(path: Path) -> str:
    return ("inputs", "targets")[path[0].idx] + jax.tree_util.keystr(path[1:])


def _check_shape(
    leaf: Array, field: str, where: str, size: tuple[int, int, int], name: str
) -> None:
    b, h, w = size
    shape = tuple(np.shape(leaf))
    dtype = getattr(leaf, "dtype", np.dtype(type(leaf)))
    if field == "mask":
        good = len(shape) in (3, 4) and shape[:3] == size
        want = f"the size of the pictures, [{b}, {h}, {w}] or [{b}, {h}, {w}, c]"
        way_out = "resize the masks with the pictures, or call the leaf something else"
    elif field.endswith("_valid"):
        good = len(shape) == 2 and shape[0] == b and dtype == np.bool_
        want, way_out = f"bool[{b}, n]", "compare with == 1 or use .astype(bool)"
    else:
        k = 4 if field == "boxes" else 2
        good = len(shape) == 3 and shape[::2] == (b, k) and jnp.issubdtype(dtype, jnp.floating)
        want = f"float[{b}, n, {k}]"
        way_out = "pad to one number n and mark the real ones in "
        way_out += f"'{field}_valid'; pixels are floats"
    if not good:
        raise TaskError(f"{name} needs {where} of {want}, got {dtype}{list(shape)}; {way_out}.")


def _check_values(
    values: np.ndarray,
    there: np.ndarray,
    field: str,
    size: tuple[int, int],
    where: str,
    name: str,
) -> None:
    h, w = size
    values = values.astype(np.float64)
    good = np.isfinite(values).all(axis=-1)
    want = "finite numbers"
    if field == "boxes":
        slack = 1e-3
        x0, y0, x1, y1 = np.moveaxis(np.where(np.isfinite(values), values, 0.0), -1, 0)
        inside = (x0 >= -slack) & (y0 >= -slack) & (x1 <= w + slack) & (y1 <= h + slack)
        good = good & inside & (x0 <= x1) & (y0 <= y1)
        want = f"boxes x0, y0, x1, y1 in pixels inside the picture of width {w} and height {h}"
    bad = np.argwhere(~good & there)
    if len(bad):
        i, j = bad[0]
        raise TaskError(
            f"{name} needs {where} to be {want}, got {values[i, j].tolist()} in example {i}, "
            f"place {j} ({len(bad)} of {there.sum()} are so); clip them, or mark them False in "
            f"'{field}_valid'."
        )
