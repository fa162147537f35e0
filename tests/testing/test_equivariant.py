"""assert_equivariant passes what moves together, and names what does not."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jrecipe as jr
from jrecipe import augment as A
from jrecipe.testing import assert_equivariant

MOVE = A.random_affine(25, translate=0.1)


def spoiled(change):
    def apply(key, batch):
        out = MOVE(key, batch)
        return out._replace(targets={**out.targets, **change(key, batch.targets, out.targets)})

    return jax.jit(apply)


def scaled(boxes):
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    return jnp.concatenate([middle - 6, middle + 6], axis=-1)


FAULTS = {
    "mask kept": (lambda k, old, new: {"mask": old["mask"]}, "mask does not move"),
    "boxes kept": (lambda k, old, new: {"boxes": old["boxes"]}, "boxes do not move"),
    "key points kept": (
        lambda k, old, new: {"keypoints": old["keypoints"]},
        "keypoints do not move",
    ),
    "drawn apart": (
        lambda k, old, new: {
            "mask": MOVE(
                jax.random.fold_in(k, 1), jr.Batch(jnp.zeros((64, 32, 40, 1)), old, None)
            ).targets["mask"]
        },
        "mask does not move with the picture: [1-6][0-9] of 64 examples are off by more than 1",
    ),
    "x and y exchanged": (
        lambda k, old, new: {"keypoints": new["keypoints"][..., ::-1]},
        r"keypoints do not move .* by \d+\.\d px \(blob at x = .*, keypoints at x = ",
    ),
    "boxes too wide": (lambda k, old, new: {"boxes": scaled(new["boxes"])}, "boxes do not move"),
    "rows exchanged": (
        lambda k, old, new: {"mask": jnp.roll(new["mask"], 1, 0)},
        "mask does not move",
    ),
    "off by two pixels": (
        lambda k, old, new: {"keypoints": new["keypoints"] + 2},
        "64 of 64|6[0-9] of 64|5[0-9] of 64|4[0-9] of 64",
    ),
    "mask empty": (lambda k, old, new: {"mask": 0 * new["mask"]}, r"by inf px"),
    "not finite": (lambda k, old, new: {"keypoints": new["keypoints"] + jnp.nan}, "by inf px"),
    "validity kept": (
        lambda k, old, new: {
            "keypoints": new["keypoints"],
            "keypoints_valid": ~old["keypoints_valid"],
        },
        "keypoints_valid of example 0 is False for keypoints at",
    ),
    "layout": (lambda k, old, new: {"mask": new["mask"] > 0}, "changes the layout"),
}


@pytest.mark.thin(12)
@pytest.mark.parametrize("name", FAULTS)
def test_what_moves_apart_is_named(name):
    change, message = FAULTS[name]
    with pytest.raises(AssertionError, match=message):
        assert_equivariant(spoiled(change))


@pytest.mark.slow
def test_what_moves_together_passes():
    for seed in range(3):
        assert_equivariant(spoiled(lambda k, old, new: {}), seed=seed)
    assert_equivariant(A.random_brightness(0.3), fields=("keypoints",))
    assert_equivariant(lambda key, batch: batch)


def test_left_the_picture_but_still_valid():
    def out(key, batch):
        made = A.random_affine(translate=0.5)(key, batch)
        return made._replace(
            targets={**made.targets, "keypoints_valid": batch.targets["keypoints_valid"]}
        )

    with pytest.raises(AssertionError, match=r"keypoints_valid of example .* is True"):
        assert_equivariant(jax.jit(out), fields=("keypoints",))


@pytest.mark.exhaustive
@pytest.mark.slow
def test_other_names_and_dtypes():
    named = A.renamed(A.random_flip(), mask="road")
    assert_equivariant(named, fields=("mask",), names={"mask": "road"})
    with pytest.raises(AssertionError, match="mask does not move"):
        assert_equivariant(A.random_flip(), fields=("mask",), names={"mask": "road"})
    assert_equivariant(A.random_flip(), dtype=np.uint8)


def test_nothing_to_compare_or_unknown_fields():
    blank = lambda key, batch: batch._replace(inputs=0 * batch.inputs)  # noqa: E731
    with pytest.raises(AssertionError, match="the blob is gone from all 64 pictures"):
        assert_equivariant(blank)
    with pytest.raises(jr.TaskError, match="needs `fields` out of"):
        assert_equivariant(blank, fields=("polygon",))
