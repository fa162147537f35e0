"""Objects put into scenes: pictures, masks, boxes, classes and validity tell of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import keys

import jrecipe as jr
from jrecipe import augment as A

N, SIZE = 16, 20
RNG = np.random.default_rng(0)
OBJECTS = RNG.uniform(0.5, 1, size=(3, 6, 7, 3)).astype(np.float32)
MASKS = np.zeros((3, 6, 7), bool)
MASKS[0, 1:5, 2:7] = True
MASKS[1, :, :3] = True
MASKS[2, 2, 3] = True
CLASSES = np.array([4, 5, 6])
PASTE = jax.jit(A.paste_objects(OBJECTS, MASKS, CLASSES, count=2))


def scene() -> jr.Batch:
    targets = {
        "mask": np.zeros((N, SIZE, SIZE), np.int32),
        "boxes": np.zeros((N, 2, 4), np.float32),
        "boxes_class": np.full((N, 2), -1),
        "boxes_valid": np.zeros((N, 2), bool),
        "keypoints": np.tile(
            np.mgrid[:SIZE, :SIZE].reshape(2, -1).T[None, :, ::-1] + 0.5, (N, 1, 1)
        ),
        "keypoints_valid": np.ones((N, SIZE * SIZE), bool),
    }
    targets["keypoints"] = targets["keypoints"].astype(np.float32)
    return jax.tree.map(
        jnp.asarray, jr.Batch(np.zeros((N, SIZE, SIZE, 3), np.float32), targets, None)
    )


@pytest.mark.exhaustive
@settings(max_examples=5)
@given(key=keys)
def test_what_is_put_in_is_told_everywhere(key):
    out = PASTE(key, scene())
    x, t = np.asarray(out.inputs), jax.tree.map(np.asarray, out.targets)
    on = (x > 0).any(axis=-1)
    np.testing.assert_array_equal(t["mask"] > 0, on)
    assert set(np.unique(t["mask"])) <= {0, 4, 5, 6}
    np.testing.assert_array_equal(t["keypoints_valid"].reshape(N, SIZE, SIZE), ~on)
    assert t["boxes_valid"][:, 1].all()
    for i in range(N):
        box, kind = (
            t["boxes"][i, 1],
            t["boxes_class"][i, 1],
        )  # the last put in hides nothing of itself
        x0, y0, x1, y1 = box.astype(int)
        inside = t["mask"][i, y0:y1, x0:x1]
        solid = MASKS[list(CLASSES).index(kind)]
        assert (inside == kind).sum() >= solid.sum()
        assert (x1 - x0, y1 - y0) == (solid.any(axis=0).sum(), solid.any(axis=1).sum())
        assert 0 <= x0 < x1 <= SIZE
        assert 0 <= y0 < y1 <= SIZE
    colours = x[on].reshape(-1, 3)
    known = OBJECTS[MASKS].reshape(-1, 3)
    assert (np.abs(colours[:, None] - known[None]).max(axis=-1).min(axis=1) < 1e-6).all()


def test_places_and_objects_and_mirrors_vary_and_chance_is_kept():
    out = PASTE(jax.random.key(0), scene())
    assert len(np.unique(np.asarray(out.targets["boxes"])[:, 0], axis=0)) > 8
    assert len(np.unique(out.targets["boxes_class"][:, 0])) == 3
    many = jr.Batch(jnp.zeros((2000, 8, 8, 3)), None, None)
    some = jax.jit(A.paste_objects(OBJECTS, MASKS, CLASSES, p=0.3))(jax.random.key(0), many)
    assert abs((np.asarray(some.inputs) > 0).any(axis=(1, 2, 3)).mean() - 0.3) < 0.04
    seen = jax.jit(A.paste_objects(OBJECTS[:1, :, :], MASKS[:1], CLASSES[:1]))(
        jax.random.key(0), many
    )
    places = (np.asarray(seen.inputs) > 0).any(axis=-1)
    assert len(np.unique(places.reshape(2000, -1), axis=0)) == 3 * 2 * 2  # down, right, mirrored


def test_without_a_free_place_nothing_is_put_in_and_hidden_boxes_are_gone():
    full = scene()
    full = full._replace(
        targets={
            **full.targets,
            "boxes_valid": jnp.ones((N, 2), bool),
            "mask": full.targets["mask"],
        }
    )
    out = PASTE(jax.random.key(0), full)
    assert not np.asarray(out.inputs).any()
    whole = A.paste_objects(np.ones((1, 6, 6, 1), np.float32), np.ones((1, 6, 6)), np.array([1]))
    boxes = np.tile(np.array([[[1, 1, 5, 5], [0, 0, 6, 6], [0, 0, 0, 0]]], np.float32), (2, 1, 1))
    targets = {"boxes": boxes, "boxes_valid": np.array([[True, True, False]] * 2)}
    batch = jr.Batch(np.zeros((2, 6, 6, 1), np.float32), targets, None)
    out = jax.jit(whole)(jax.random.key(0), batch).targets
    assert out["boxes_valid"].tolist() == [[False, False, True]] * 2
    assert out["boxes"][0, 2].tolist() == [0, 0, 6, 6]
