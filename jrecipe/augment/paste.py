"""Objects put into scenes (D3)."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.augment.draws import draws, whole
from jrecipe.augment.fields import Path, beside, fields_of, validate, with_leaves
from jrecipe.augment.numbers import require_probability, require_whole
from jrecipe.augment.pictures import pictures_of, with_pictures
from jrecipe.types import Array, Augment, Batch, Key, TaskError

CLASS = "boxes_class"  # int[b, n] beside "boxes": what is in each box


@dataclasses.dataclass(frozen=True)
class _Draw:
    """One object for each scene: `solid` bool[b, h, w] is where it is, once put there."""

    solid: Array
    colours: Array
    kind: Array
    box: Array


def paste_objects(
    pictures: Array,
    masks: Array,
    classes: Array,
    *,
    count: int = 1,
    p: float | Array = 1.0,
) -> Augment:
    """Puts objects into each picture, each drawn, placed and (by even chance) mirrored at random.

    What belongs to the picture follows: integer masks [b, h, w] hold the class where the object is;
    "boxes" get its box in the first place that "boxes_valid" leaves free (an object finds no place
    is not put in), "boxes_class" int[b, n] beside them its class; boxes that the object hides
    altogether, and key points under it, are no longer valid. Other targets stay.

    Args:
      pictures: the objects, [m, oh, ow, c], not larger than the scenes and of their dtype.
      masks: bool or number [m, oh, ow], not 0 where the object is; somewhere in each.
      classes: int[m], as masks and "boxes_class" name them.
      count: objects to put into each picture, >= 0.
      p: chance for each of these, in [0, 1]. May be traced.

    Raises:
      TaskError: if an argument is out of range or shapes do not fit; or later if objects do not fit
        the pictures, boxes have no "boxes_valid" beside them, or masks are not int[b, h, w].

    References:
      Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
      Segmentation", 2020, arXiv:2012.07177.
    """
    name = "paste_objects"
    require_probability(name, p)
    require_whole(name, "count", count)
    objects, solid, kinds = np.asarray(pictures), np.asarray(masks) != 0, np.asarray(classes)
    m = len(objects)
    if objects.ndim != 4 or solid.shape != objects.shape[:3] or kinds.shape != (m,) or m == 0:
        raise TaskError(
            f"{name} needs pictures [m, h, w, c], masks [m, h, w] and classes int[m], got "
            f"{objects.shape}, {solid.shape} and {kinds.shape}; give one of each per object."
        )
    empty = np.flatnonzero(~solid.any(axis=(1, 2)))
    if len(empty):
        raise TaskError(f"{name} needs objects, but the mask of number {empty[0]} is 0 everywhere.")
    tight = np.stack([_tight(one) for one in solid])

    def apply(key: Key, batch: Batch) -> Batch:
        x = pictures_of(batch, name)
        _require_fit(name, x, objects)
        validate(batch, name)
        for i in range(count):
            one = _draw(jax.random.fold_in(key, i), x.shape, (objects, solid, kinds, tight), p)
            batch = _paste(name, batch, one)
        return batch

    return apply


def _tight(solid: np.ndarray) -> np.ndarray:
    """Returns the box x0, y0, x1, y1 around a mask."""
    rows, columns = np.flatnonzero(solid.any(axis=1)), np.flatnonzero(solid.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _require_fit(name: str, x: Array, objects: np.ndarray) -> None:
    fits = objects.shape[1] <= x.shape[1] and objects.shape[2] <= x.shape[2]
    if not fits or objects.shape[3] != x.shape[3] or objects.dtype != x.dtype:
        raise TaskError(
            f"{name} needs objects that fit pictures {x.dtype}{list(x.shape)}, got "
            f"{objects.dtype}{list(objects.shape)}; resize or convert the objects."
        )


def _draw(
    key: Key,
    shape: tuple[int, ...],
    pool: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    p: float | Array,
) -> _Draw:
    objects, masks, kinds, tight = (jnp.asarray(part) for part in pool)
    (b, h, w), (m, oh, ow) = shape[:3], objects.shape[:3]
    which, mirror, chance, *where = draws(key, b, 5)
    number, flip = whole(which, m), mirror < 0.5
    down, right = whole(where[0], h - oh + 1), whole(where[1], w - ow + 1)
    i, j = jnp.arange(h)[None] - down[:, None], jnp.arange(w)[None] - right[:, None]
    j = jnp.where(flip[:, None], ow - 1 - j, j)
    inside = ((i >= 0) & (i < oh))[:, :, None] & ((j >= 0) & (j < ow))[:, None, :]
    i, j = jnp.clip(i, 0, oh - 1)[:, :, None], jnp.clip(j, 0, ow - 1)[:, None, :]
    at = (number[:, None, None], i, j)
    solid = inside & masks[at] & (chance < p)[:, None, None]
    x0, y0, x1, y1 = tight[number].T
    left = jnp.where(flip, ow - x1, x0)
    box = jnp.stack([right + left, down + y0, right + left + x1 - x0, down + y1], axis=-1)
    return _Draw(solid, objects[at], kinds[number], box.astype(jnp.float32))


def _paste(name: str, batch: Batch, one: _Draw) -> Batch:
    fields = fields_of(batch, name)
    put = jnp.any(one.solid, axis=(1, 2))
    slots: dict[Path, Array] = {}
    for path, (field, _) in fields.items():
        if field == "boxes":
            valid = beside(batch, path, "boxes_valid")
            if valid is None:
                raise TaskError(
                    f"{name} needs 'boxes_valid' bool[b, n] beside 'boxes' to find free places, "
                    "got none; mark the real boxes True and leave some places False."
                )
            slots[path] = jnp.argmin(valid[1], axis=1)
            put &= ~jnp.all(valid[1], axis=1)
    solid = one.solid & put[:, None, None]
    new: dict[Path, Array] = {}
    for path, (field, leaf) in fields.items():
        if field == "mask":
            if leaf.ndim != 3 or not jnp.issubdtype(leaf.dtype, jnp.integer):
                raise TaskError(
                    f"{name} needs masks int[b, h, w] of classes, got {leaf.dtype}"
                    f"{list(leaf.shape)}; use .argmax(-1) of one channel for each class."
                )
            new[path] = jnp.where(solid, one.kind[:, None, None].astype(leaf.dtype), leaf)
        elif field == "boxes":
            _put_box(batch, path, leaf, slots[path], put, solid, one, new)
        elif field == "keypoints":
            valid = beside(batch, path, "keypoints_valid")
            if valid is not None:
                new[valid[0]] = valid[1] & ~_under(solid, leaf)
    batch = with_leaves(batch, new)
    x = pictures_of(batch, name)
    return with_pictures(batch, jnp.where(solid[..., None], one.colours, x))


def _put_box(
    batch: Batch,
    path: Path,
    boxes: Array,
    slot: Array,
    put: Array,
    solid: Array,
    one: _Draw,
    new: dict[Path, Array],
) -> None:
    """Writes the new boxes, and what is beside them, into `new`."""
    here = (jnp.arange(boxes.shape[1])[None] == slot[:, None]) & put[:, None]
    new[path] = jnp.where(here[..., None], one.box[:, None].astype(boxes.dtype), boxes)
    valid = beside(batch, path, "boxes_valid")
    assert valid is not None
    new[valid[0]] = (valid[1] & ~_hidden(solid, boxes)) | here
    kinds = beside(batch, path, CLASS)
    if kinds is not None:
        new[kinds[0]] = jnp.where(here, one.kind[:, None].astype(kinds[1].dtype), kinds[1])


def _hidden(solid: Array, boxes: Array) -> Array:
    """Returns bool[b, n]: boxes of which the object covers every pixel."""
    _, h, w = solid.shape
    x, y = jnp.arange(w)[None, None] + 0.5, jnp.arange(h)[None, None] + 0.5
    x0, y0, x1, y1 = (boxes[..., i, None] for i in range(4))
    columns, rows = (x > x0) & (x < x1), (y > y0) & (y < y1)
    open_ = jnp.einsum(
        "bnh,bhw,bnw->bn", *(part.astype(jnp.float32) for part in (rows, ~solid, columns))
    )
    return (open_ == 0) & jnp.any(rows, axis=-1) & jnp.any(columns, axis=-1)


def _under(solid: Array, points: Array) -> Array:
    """Returns bool[b, n]: points that lie on the object."""
    b, h, w = solid.shape
    x, y = jnp.floor(points[..., 0]).astype(jnp.int32), jnp.floor(points[..., 1]).astype(jnp.int32)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    at = solid[jnp.arange(b)[:, None], jnp.clip(y, 0, h - 1), jnp.clip(x, 0, w - 1)]
    return inside & at
