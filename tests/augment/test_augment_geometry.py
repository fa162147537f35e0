"""Masks, boxes and key points move as a picture of them does; identities are exact."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from augmented import MOVING, B, H, W, cases, image, scenes
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import keys, seeds

import jrecipe as jr
from jrecipe import augment as A
from jrecipe.augment import perspective, warping
from jrecipe.testing import assert_equivariant


@pytest.mark.thin(4)
@pytest.mark.parametrize("name", cases(MOVING))
def test_targets_move_as_the_picture_of_them(name):
    assert_equivariant(jax.jit(MOVING[name]), seed=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("mode", ["edge", "reflect"])
def test_targets_move_as_the_picture_of_them_whatever_lies_outside(mode):
    assert_equivariant(jax.jit(A.random_affine(45, translate=0.2, mode=mode)))
    assert_equivariant(jax.jit(A.random_crop(5, mode=mode)), dtype=np.uint8)


def same(out: jr.Batch, batch: jr.Batch) -> None:
    assert jax.tree.structure(out) == jax.tree.structure(batch)
    for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(batch), strict=True):
        np.testing.assert_array_equal(a, b)


IDENTITIES = {
    "crop": A.random_crop(0),
    "affine": A.random_affine(),
    "perspective": A.random_perspective(0.0),
    "rand-augment": A.rand_augment(3, 0.0),
    "no-operations": A.rand_augment(0, 9.0),
    "translate": A.random_translate(0),
    "flip": A.random_flip(0.0),
}
_STILL = {name: jax.jit(augment) for name, augment in IDENTITIES.items()}


@pytest.mark.thin(7)
@pytest.mark.parametrize("name", IDENTITIES)
@settings(max_examples=3)
@given(key=keys, seed=seeds)
def test_a_move_of_size_0_changes_no_bit(name, key, seed):
    batch = scenes(seed)
    same(_STILL[name](key, batch), batch)


@pytest.mark.parametrize("make", [A.random_flip, A.random_flip_vertical])
@settings(max_examples=2)
@given(key=keys, seed=seeds)
def test_flipping_twice_is_the_identity(make, key, seed):
    always, batch = jax.jit(make(1.0)), scenes(seed)
    once = always(key, batch)
    assert not np.array_equal(image(once), image(batch))
    assert not np.array_equal(once.targets["mask"], batch.targets["mask"])
    twice = always(key, once)
    np.testing.assert_array_equal(image(twice), image(batch))
    np.testing.assert_array_equal(twice.targets["mask"], batch.targets["mask"])
    for name in ("boxes", "keypoints"):
        np.testing.assert_allclose(twice.targets[name], batch.targets[name], atol=1e-5)


def test_a_flip_is_known():
    batch = jr.Batch(
        jnp.arange(4.0).reshape(1, 1, 4, 1),
        {
            "boxes": jnp.array([[[0.5, 0.0, 1.0, 1.0]]]),
            "keypoints": jnp.array([[[0.5, 0.5], [3.0, 0.25]]]),
        },
        jnp.ones(1),
    )
    out = jax.jit(A.random_flip(1.0, keypoint_pairs=[(0, 1)]))(jax.random.key(0), batch)
    assert out.targets["boxes"].tolist() == [[[3.0, 0.0, 3.5, 1.0]]]
    assert out.targets["keypoints"].tolist() == [[[1.0, 0.25], [3.5, 0.5]]]  # exchanged
    plain = jax.jit(A.random_flip(1.0))(jax.random.key(0), batch)
    assert plain.targets["keypoints"].tolist() == [[[3.5, 0.5], [1.0, 0.25]]]


WARP = jax.jit(A.warp, static_argnames=("mode",))


@settings(max_examples=3)
@given(seed=seeds)
def test_a_quarter_turn_is_that_of_numpy(seed):
    x = np.random.default_rng(seed).uniform(size=(1, 6, 6, 2)).astype(np.float32)
    batch = jr.Batch(x, {"mask": (x > 0.5), "keypoints": np.full((1, 1, 2), 0.5, np.float32)}, None)
    quarter = warping.about_centre(warping.rotation(jnp.array([90.0])), (6, 6))
    out = WARP(batch, quarter)
    np.testing.assert_allclose(out.inputs, np.rot90(x, axes=(1, 2)), atol=1e-5)
    np.testing.assert_array_equal(out.targets["mask"], np.rot90(x > 0.5, axes=(1, 2)))
    np.testing.assert_allclose(out.targets["keypoints"], [[[0.5, 5.5]]], atol=1e-5)


def test_boxes_are_those_around_the_moved_corners_cut_at_the_picture():
    x = np.zeros((1, 20, 20, 1), np.float32)
    boxes = np.array([[[8, 8, 12, 12], [0, 0, 4, 4], [17, 8, 20, 12]]], np.float32)
    targets = {"boxes": boxes, "boxes_valid": np.array([[True, True, True]])}
    turn = warping.about_centre(warping.rotation(jnp.array([45.0])), (20, 20))
    out = WARP(jr.Batch(x, targets, None), turn).targets
    half = 2 * np.sqrt(2)
    np.testing.assert_allclose(
        out["boxes"][0, 0], [10 - half, 10 - half, 10 + half, 10 + half], 1e-5
    )
    move = warping.matrices((1, 0, jnp.array([4.0])), (0, 1, 0), (0, 0, 1))
    out = WARP(jr.Batch(x, targets, None), move).targets
    np.testing.assert_allclose(out["boxes"][0], [[12, 8, 16, 12], [4, 0, 8, 4], [20, 8, 20, 12]])
    assert out["boxes_valid"].tolist() == [[True, True, False]]

    affine = WARP(jr.Batch(x, targets, None), move[:, :2]).targets
    np.testing.assert_allclose(affine["boxes"], out["boxes"])


def test_an_affine_movement_without_its_last_row_is_the_same_movement():
    x = np.random.default_rng(0).uniform(size=(2, 9, 7, 3)).astype(np.float32)
    turn = warping.about_centre(warping.rotation(jnp.array([20.0, -70.0])), (9, 7))
    targets = {"keypoints": np.array([[[2.0, 3.0]], [[4.0, 4.0]]], np.float32)}
    whole, short = (WARP(jr.Batch(x, targets, None), m) for m in (turn, turn[:, :2]))
    np.testing.assert_allclose(short.inputs, whole.inputs, atol=1e-5)
    np.testing.assert_allclose(short.targets["keypoints"], whole.targets["keypoints"], atol=1e-5)
    assert np.abs(np.asarray(short.inputs) - x).max() > 0.1


@jax.jit
def there_and_back(corners):
    square = jnp.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    matrix = perspective.from_unit_square(corners)
    there = warping.apply_matrix(matrix, jnp.broadcast_to(square, corners.shape))
    return there, warping.apply_matrix(warping.invert(matrix), corners)


@settings(max_examples=5)
@given(seed=seeds)
def test_matrices_invert_and_corners_go_where_they_should(seed):
    rng = np.random.default_rng(seed)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    corners = (square + rng.uniform(-0.3, 0.3, (5, 4, 2))).astype(np.float32)
    there, back = there_and_back(corners)
    np.testing.assert_allclose(there, corners, atol=1e-4)
    np.testing.assert_allclose(back, np.broadcast_to(square, (5, 4, 2)), atol=1e-3)


def test_what_lies_outside_is_filled_as_asked():
    x = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 1, 4, 1)
    right = warping.matrices((1, 0, jnp.array([3.0])), (0, 1, 0), (0, 0, 1))
    batch = jr.Batch(x, {"mask": x.astype(np.int32)}, None)
    for mode, want in (
        ("edge", [1, 1, 1, 1]),
        ("reflect", [4, 3, 2, 1]),
        ("constant", [9, 9, 9, 1]),
    ):
        out = WARP(batch, right, mode=mode, fill=9.0, mask_fill=7)
        assert np.asarray(out.inputs).ravel().tolist() == want
        mask = np.asarray(out.targets["mask"]).ravel().tolist()
        assert mask == ([7, 7, 7, 1] if mode == "constant" else want)


def test_masks_take_the_nearest_pixel_and_reflections_repeat():
    x = np.arange(1.0, 5.0, dtype=np.float32).reshape(1, 1, 4, 1)
    batch = jr.Batch(x, {"mask": x.astype(np.int32)}, None)
    for distance, want in ((0.4, [1, 2, 3, 4]), (0.6, [2, 1, 2, 3]), (5.0, [2, 3, 4, 3])):
        right = warping.matrices((1, 0, jnp.array([distance])), (0, 1, 0), (0, 0, 1))
        out = WARP(batch, right, mode="reflect")
        assert np.asarray(out.targets["mask"]).ravel().tolist() == want
    assert np.asarray(out.inputs).ravel().tolist() == want
    tall = jr.Batch(x.reshape(1, 4, 1, 1), {"mask": x.reshape(1, 4, 1)}, None)
    for distance in (-0.4, 0.4):
        down = warping.matrices((1, 0, 0), (0, 1, jnp.array([distance])), (0, 0, 1))
        assert WARP(tall, down).targets["mask"].ravel().tolist() == [1, 2, 3, 4]


@pytest.mark.exhaustive
def test_moves_are_as_far_as_asked_and_reach_there():
    still = jr.Batch(
        jnp.zeros((2000, 4, 4, 1)), {"keypoints": jnp.full((2000, 1, 2), 3.0)}, jnp.ones(2000)
    )
    point = lambda augment: np.asarray(  # noqa: E731
        jax.jit(augment)(jax.random.key(0), still).targets["keypoints"][:, 0]
    )
    centred = point(A.random_rotate(30)) - 2
    angle = np.degrees(np.arctan2(-centred[:, 1], centred[:, 0])) + 45
    assert -30.1 < angle.min() < -28
    assert 28 < angle.max() < 30.1
    assert abs(angle.mean()) < 1.5
    np.testing.assert_allclose(np.hypot(*centred.T), np.sqrt(2), rtol=1e-4)
    scale = (point(A.random_scale((0.5, 2.0))) - 2)[:, 0]
    assert 0.5 <= scale.min() < 0.52
    assert 1.95 < scale.max() <= 2.0001
    assert abs(np.log(scale).mean()) < 0.04
    moved = point(A.random_affine(translate=0.25)) - 3
    assert np.abs(moved).max() <= 1.0001
    assert (np.abs(moved).max(axis=0) > 0.95).all()
    slant = point(A.random_shear(45)) - 3
    assert np.abs(slant).max() <= 1.0001
    assert (np.abs(slant).max(axis=0) > 0.9).all()
    assert (np.abs(slant).min(axis=1) < 1e-5).all()  # along x or along y
    inwards = np.asarray(perspective_corner(still))
    assert (inwards >= -1e-4).all()
    assert 0.5 < inwards.max() <= 0.6001


def perspective_corner(still: jr.Batch) -> jax.Array:
    corner = still._replace(targets={"keypoints": jnp.zeros((2000, 1, 2))})
    out = jax.jit(A.random_perspective(0.3))(jax.random.key(0), corner)
    return out.targets["keypoints"][:, 0]


def test_strengths_may_be_traced():
    batch, key = scenes(0), jax.random.key(0)
    for make, value in ((A.random_affine, 20.0), (A.random_brightness, 0.3)):
        traced = jax.jit(lambda v, make=make: make(v)(key, batch))(value)
        constant = jax.jit(make(value))(key, batch)
        np.testing.assert_allclose(image(traced), image(constant), atol=1e-3)


def test_targets_that_are_a_mask_move_and_other_leaves_stay():
    x = np.random.default_rng(0).uniform(size=(B, H, W, 1)).astype(np.float32)
    mask = (x[..., 0] > 0.5).astype(np.int32)
    out = A.random_flip(1.0)(jax.random.key(0), jr.Batch(x, mask, None))
    np.testing.assert_array_equal(out.targets, mask[:, :, ::-1])
    for other in (np.arange(B), np.ones((B, 7, W)), np.ones((B, H))):
        out = A.random_flip(1.0)(jax.random.key(0), jr.Batch(x, other, None))
        assert out.targets is other


@given(p=st.sampled_from((0.0, 1.0)))
@settings(max_examples=2)
def test_fields_are_found_wherever_they_are(p):
    x = np.random.default_rng(0).uniform(size=(2, 3, 4, 1)).astype(np.float32)
    mask = x[..., 0] > 0.5
    batch = jr.Batch({"image": x, "mask": mask}, ({"deep": {"mask": mask}}, x[:, 0, 0, 0]), None)
    out = A.random_flip(p)(jax.random.key(0), batch)
    want = mask[:, :, ::-1] if p else mask
    np.testing.assert_array_equal(out.inputs["mask"], want)
    np.testing.assert_array_equal(out.targets[0]["deep"]["mask"], want)
    named = A.renamed(A.random_flip(p), image="photo", mask="road")
    batch = jr.Batch({"photo": x}, [{"road": mask, "mask": x[..., 0, 0]}], None)
    with pytest.raises(jr.TaskError, match="finds both 'road' and 'mask'"):
        named(jax.random.key(0), batch)
    out = named(jax.random.key(0), jr.Batch({"photo": x}, [{"road": mask}], None))
    np.testing.assert_array_equal(out.inputs["photo"], x[:, :, ::-1] if p else x)
    np.testing.assert_array_equal(out.targets[0]["road"], want)


def test_rand_augment_turns_about_the_centre():
    centre = np.tile(np.float32([[[8.0, 6.0]]]), (64, 1, 1))
    batch = jr.Batch(np.ones((64, 12, 16, 3), np.float32), {"keypoints": centre}, np.ones(64))
    out = jax.jit(A.rand_augment(1, 9.0))(jax.random.key(0), batch).targets["keypoints"]
    moved = np.abs(np.asarray(out) - centre)[:, 0]
    assert (moved.min(axis=1) < 1e-3).all()  # shifts alone move it, along one axis
    assert (moved.max(axis=1) > 1.0).any()
