"""Does an augmentation move masks, boxes and key points as it moves the picture (D2, G)?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jrecipe.checks.probing import as_numpy
from jrecipe.types import Augment, Batch, TaskError

FIELDS = ("mask", "boxes", "keypoints")
_NOWHERE = (np.full(2, np.inf), None)


@dataclasses.dataclass(frozen=True)
class _Blob:
    """What is seen of the blob in one picture: centre x, y and box in pixels."""

    centre: np.ndarray
    box: np.ndarray
    cut: bool  # it reaches the edge, where the rest of it may be


def assert_equivariant(
    augment: Augment,
    *,
    size: tuple[int, int] = (32, 40),
    channels: int = 3,
    fields: tuple[str, ...] = FIELDS,
    names: Mapping[str, str] | None = None,
    examples: int = 64,
    tolerance: float = 1.5,
    dtype: Any = np.float32,
    seed: int = 0,
) -> None:
    """Asserts that masks, boxes and key points move as the picture of them does (D2).

    Each picture shows one grey blob on black, away from the middle; the mask is 1 on it, the box
    around it, the key point at its centre. After the augmentation the blob is looked for in the
    picture, and has to be where the targets say. "boxes_valid" and "keypoints_valid" have to become
    False where theirs left the picture.

    Give the part that moves: what hides the blob (erasing, mixing, strong noise) leaves nothing to
    compare, and is passed over where it does.

    Args:
      augment: `(key, Batch) -> Batch`, on inputs [b, h, w, channels] in [0, 1] (or 0 to 255) and
        targets of which it finds those named in `fields`, see `jrecipe.augment`.
      size: height and width; differ, so that exchanging the axes is seen.
      channels: of the pictures.
      fields: which of "mask", "boxes" and "keypoints" to give and to ask for.
      names: what your augmentation calls them, where it is not so.
      examples: pictures.
      tolerance: pixels by which the targets may be off.
      dtype: of the pictures: a float, or uint8.
      seed: decides places and what the augmentation draws.

    Raises:
      AssertionError: which of them moved apart from the picture, where, and by how many pixels.
      TaskError: if `fields` are unknown.

    Example:
      >>> import jrecipe as jr
      >>> assert_equivariant(jr.augment.random_flip())
      >>> half = lambda key, batch: batch._replace(inputs=batch.inputs[:, :, ::-1])
      >>> assert_equivariant(half, fields=("keypoints",))
      Traceback (most recent call last):
        ...
      AssertionError: keypoints do not move with the picture: 64 of 64 examples are off by more ...
    """
    unknown = set(fields) - set(FIELDS)
    if unknown or not fields:
        raise TaskError(f"assert_equivariant needs `fields` out of {FIELDS}, got {fields!r}.")
    call = {**{name: name for name in (*FIELDS, "boxes_valid", "keypoints_valid")}, **(names or {})}
    batch = _batch(size, channels, fields, call, examples, dtype, seed)
    made = as_numpy(augment(jax.random.key(seed), jax.tree.map(jnp.asarray, batch)))
    _assert_layout(batch, made)
    blobs = [_blobs(picture) for picture in np.asarray(made.inputs, np.float64)]
    if not any(blobs):
        raise AssertionError(
            f"the blob is gone from all {examples} pictures; leave out what hides it, such as "
            "erasing, or make the moves smaller."
        )
    for field in fields:
        apart, where = _apart(field, made.targets[call[field]], blobs)
        wrong = apart > tolerance
        if wrong.any():
            worst = int(np.argmax(apart))
            verb = "does" if field == "mask" else "do"
            raise AssertionError(
                f"{field} {verb} not move with the picture: {wrong.sum()} of {examples} examples "
                f"are off by more than {tolerance:g} px, example {worst} by {apart[worst]:.1f} px "
                f"({where[worst]}); move them with the same draw as the picture."
            )
        if field != "mask":
            _assert_valid(
                field, made.targets[call[field]], made.targets[call[f"{field}_valid"]], size
            )


def _batch(
    size: tuple[int, int],
    channels: int,
    fields: tuple[str, ...],
    call: Mapping[str, str],
    n: int,
    dtype: Any,
    seed: int,
) -> Batch:
    h, w = size
    rng = np.random.default_rng(seed)
    radius = 0.09 * min(size)
    # Off the middle in both directions, so that no mirroring or turn leaves it in place.
    side = rng.choice([-1, 1], size=(n, 2))
    off = rng.uniform(0.14, 0.3, size=(n, 2)) * side * np.array([w, h])
    centre = np.array([w / 2, h / 2]) + off
    y, x = np.mgrid[:h, :w] + 0.5
    distance = np.hypot(x - centre[:, 0, None, None], y - centre[:, 1, None, None])
    bright = np.clip(radius + 0.5 - distance, 0, 1)[..., None].repeat(channels, axis=-1)
    # Half bright: light may be changed or inverted, and the blob is still seen.
    top = 0.45 * (1 if np.issubdtype(dtype, np.floating) else 255)
    targets = {}
    if "mask" in fields:
        targets[call["mask"]] = (distance <= radius).astype(np.int32)
    if "boxes" in fields:
        boxes = np.concatenate([centre - radius, centre + radius], axis=1)
        targets[call["boxes"]] = boxes[:, None].astype(np.float32)
        targets[call["boxes_valid"]] = np.ones((n, 1), bool)
    if "keypoints" in fields:
        targets[call["keypoints"]] = centre[:, None].astype(np.float32)
        targets[call["keypoints_valid"]] = np.ones((n, 1), bool)
    return Batch((top * bright).astype(dtype), targets, np.ones(n, np.float32))


def _assert_layout(before: Batch, after: Batch) -> None:
    shape = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)  # noqa: E731
    if shape(before) != shape(after):
        raise AssertionError(
            f"the augmentation changes the layout of the batch from {shape(before)} to "
            f"{shape(after)}; structure, shapes and dtypes have to stay."
        )


def _blobs(picture: np.ndarray) -> list[_Blob]:
    """Returns what is bright in a picture [h, w, c], connected parts each by themselves."""
    light = np.abs(picture - np.median(picture, axis=(0, 1))).mean(axis=-1)
    if not light.max() > 0.15 * max(1.0, float(np.abs(picture).max())):
        return []
    return _parts(light, light >= 0.5 * light.max())


def _parts(light: np.ndarray, on: np.ndarray) -> list[_Blob]:
    """Returns the connected parts (corners connect) of what is on, with their centres of light."""
    from scipy import ndimage

    labels, found = ndimage.label(on, structure=np.ones((3, 3)))[0], []
    h, w = light.shape
    for number in range(1, labels.max() + 1):
        y, x = np.nonzero(labels == number)
        weight = light[y, x]
        centre = np.array([(weight * (x + 0.5)).sum(), (weight * (y + 0.5)).sum()]) / weight.sum()
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64)
        cut = bool(box[0] == 0 or box[1] == 0 or box[2] == w or box[3] == h)
        found.append(_Blob(centre, box, cut))
    return found


def _apart(
    field: str, values: np.ndarray, blobs: list[list[_Blob]]
) -> tuple[np.ndarray, list[str]]:
    """Returns by how many pixels each example is off (0 if nothing can be compared), and words."""
    apart, where = np.zeros(len(blobs)), [""] * len(blobs)
    for i, seen in enumerate(blobs):
        if not seen:
            continue
        for place, box in _said(field, values[i]):
            nearest = seen[int(np.argmin([np.hypot(*(blob.centre - place)) for blob in seen]))]
            if nearest.cut:
                continue
            off = float(np.hypot(*(nearest.centre - place)))
            if box is not None:  # it may be wider than a turned blob, but not narrower
                beyond = np.concatenate([box[:2] - nearest.box[:2], nearest.box[2:] - box[2:]])
                size, seen_size = box[2:] - box[:2], nearest.box[2:] - nearest.box[:2]
                off = max(off, float(beyond.max()), float((size - 1.7 * seen_size).max()))
            if not off <= apart[i]:
                apart[i] = off if np.isfinite(off) else np.inf
                where[i] = f"blob at {_at(nearest.centre)}, {field} at {_at(place)}"
    return apart, where


def _said(field: str, value: np.ndarray) -> list[tuple[np.ndarray, np.ndarray | None]]:
    """Returns where the targets of one example say that blobs are: `(centre, box or None)`."""
    if field == "mask":
        on = (value != 0).astype(np.float64)
        parts = _parts(on, on > 0)
        return [(part.centre, None) for part in parts if not part.cut] if parts else [_NOWHERE]
    place = value[0].astype(np.float64)
    return [((place[:2] + place[2:]) / 2, place)] if field == "boxes" else [(place, None)]


def _at(point: np.ndarray) -> str:
    return f"x = {point[0]:.1f}, y = {point[1]:.1f}"


def _assert_valid(field: str, values: np.ndarray, valid: np.ndarray, size: tuple[int, int]) -> None:
    h, w = size
    for i, (value, there) in enumerate(zip(values[:, 0], valid[:, 0], strict=True)):
        if field == "keypoints":
            depth = float(min(value[0], value[1], w - value[0], h - value[1]))
        else:
            depth = float(min(value[2] - value[0], value[3] - value[1]))
        # Less than a pixel inside or outside is a matter of taste.
        clear = depth > 1 or (depth < -1 if field == "keypoints" else depth <= 0)
        if clear and bool(there) != (depth > 0):
            raise AssertionError(
                f"{field}_valid of example {i} is {bool(there)} for {field} at "
                f"{[round(float(v), 1) for v in value]} in a picture of width {w} and height {h}; "
                "it has to be True for what is in the picture, and False for what left it."
            )
