"""Bad input is an error that names the argument, the value and the way out."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from augmented import B, H, W, labelled, pictures, scenes

import jrecipe as jr
from jrecipe import augment as A

pytestmark = pytest.mark.thin(2)

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: A.random_grey(1.5), r"random_grey needs a probability `p` in \[0, 1\], got p=1.5"),
        (lambda: A.random_erase(-0.1), "random_erase needs a probability .* got p=-0.1"),
        (lambda: A.apply_with(float("nan"), A.random_flip()), "got p=nan"),
        (lambda: A.domain_randomise(2), "got background=2"),
        (lambda: A.random_erase(area=(0.5, 0.1)), r"`area` as a pair .* got area=\(0.5, 0.1\)"),
        (lambda: A.random_erase(value="red"), "'noise' or 'mean', got 'red'"),
        (lambda: A.random_rotate(200), r"`degrees` in \[0, 180\], got degrees=200"),
        (lambda: A.random_scale((0.0, 1.0)), "random_scale needs `scale` as a pair"),
        (lambda: A.random_shear(89.5), r"random_shear needs `degrees` in \[0, 89\]"),
        (lambda: A.random_perspective(1.0), r"`strength` in \[0, 0.9\], got strength=1.0"),
        (lambda: A.random_crop(1.5), "whole number of `padding`, got padding=1.5"),
        (lambda: A.random_crop(mode="wrap"), r"`mode` out of \('constant', .* got mode='wrap'"),
        (lambda: A.cutout(-1), "`size` >= 0, got size=-1"),
        (lambda: A.random_brightness(-1), "`strength` >= 0, got strength=-1"),
        (lambda: A.rand_augment(2, 11), r"`magnitude` in \[0, 10\], got magnitude=11"),
        (lambda: A.mixup(0.0), "mixup needs `alpha` > 0, got alpha=0.0"),
        (lambda: A.cutmix(share=1.2), r"`share` in \[0, 1\], got share=1.2"),
        (lambda: A.mixup(classes=1), "`classes` >= 2, got classes=1"),
        (A.one_of, "at least one augmentation"),
        (lambda: A.one_of(A.random_flip(), shares=(0.0,)), "shares=\\(0.0,\\)"),
        (lambda: A.renamed(A.random_flip(), masks="road"), "got masks='road'"),
        (lambda: A.token_dropout(0.1, pad_id=0.5), "got pad_id=0.5"),
        (lambda: A.span_masking(0.2), "either `mask_id` or `sentinel_ids`"),
        (lambda: A.span_masking(1.0, mask_id=1), "`share` below 1, got share=1.0"),
        (lambda: A.span_masking(0.1, mask_id=1, mean_length=0.5), "got mean_length=0.5"),
        (
            lambda: A.paste_objects(np.ones((1, 2, 2, 3)), np.ones((1, 3, 2)), np.zeros(1)),
            r"got \(1, 2, 2, 3\), \(1, 3, 2\) and \(1,\)",
        ),
        (
            lambda: A.paste_objects(np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2)), np.zeros(1)),
            "mask of number 0 is 0 everywhere",
        ),
    ],
)
def test_arguments_out_of_range(make, message):
    with pytest.raises(jr.TaskError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


X = pictures(0)


def boxes(*rows: list[float], **more: object) -> dict:
    return {"boxes": np.array([rows] * B, np.float32), **more}


BAD_BATCHES = {
    "mask of another size": (
        A.random_rotate(),
        X,
        {"mask": np.zeros((B, H, W + 1), int)},
        r"random_rotate needs targets\['mask'\] of the size of the pictures, \[16, 12, 14\] "
        r".*15\]; resize the masks",
    ),
    "box outside": (
        A.random_flip(),
        X,
        boxes([0, 0, 3, 3], [2, 2, 15, 4]),
        r"inside the picture of width 14 and height 12, got \[2.0, 2.0, 15.0, 4.0\] in example 0, "
        "place 1 .*clip them, or mark them False",
    ),
    "box turned around": (A.random_crop(), X, boxes([3, 3, 2, 4]), r"got \[3.0, 3.0, 2.0, 4.0\]"),
    "boxes of integers": (
        A.random_flip(),
        X,
        {"boxes": np.zeros((B, 2, 4), int)},
        "pixels are floats",
    ),
    "validity of another length": (
        A.random_flip(),
        X,
        boxes([0, 0, 3, 3], boxes_valid=np.ones((B, 2), bool)),
        r"needs 'boxes' \[b, n, ...\] beside targets\['boxes_valid'\]",
    ),
    "validity that is no bool": (
        A.random_flip(),
        X,
        boxes([0, 0, 3, 3], boxes_valid=np.ones((B, 1))),
        r"bool\[16, n\], got float64.*astype\(bool\)",
    ),
    "key points not finite": (
        A.random_translate(),
        X,
        {"keypoints": np.full((B, 1, 2), np.nan, np.float32)},
        r"targets\['keypoints'\] to be finite numbers, got \[nan, nan\]",
    ),
    "integers to turn": (
        A.random_rotate(),
        X.astype(np.uint8),
        None,
        r"random_rotate needs float pictures, got uint8; convert them before",
    ),
    "integers to brighten": (A.random_brightness(), X.astype(np.uint8), None, "got uint8"),
    "integers to mix": (
        A.mixup(),
        X.astype(np.int32),
        None,
        "mixup needs float pictures, got int32",
    ),
    "integers to fill with noise": (
        A.random_erase(value="noise"),
        X.astype(np.uint8),
        None,
        "random_erase with value='noise' needs float pictures",
    ),
    "a value that bytes cannot hold": (
        A.random_erase(value=0.5),
        X.astype(np.uint8),
        None,
        "`value` that uint8 pictures can hold, got value=0.5",
    ),
    "a value for other channels": (
        A.random_erase(value=(0.5, 0.5)),
        X,
        None,
        "as one number or 3, one for each channel",
    ),
    "no such rectangle": (
        A.random_erase(area=(0.001, 0.002)),
        X,
        None,
        r"no rectangle of whole pixels in pictures of 12 x 14 with area=\(0.001, 0.002\)",
    ),
    "colours of grey pictures": (A.random_hue(), X[..., :1], None, "with 3 channels .* got 1"),
    "values out of range": (
        A.random_contrast(),
        X * 255,
        None,
        r"values in value_range=\(0.0, 1.0\), got .* to 25.*or value_range=None",
    ),
    "two images": (
        A.random_flip(),
        {"a": {"image": X}, "b": {"image": X}},
        None,
        "dict with 2 leaves",
    ),
    "indices without classes": (
        A.mixup(),
        X,
        np.zeros(B, int),
        r"mixup needs `classes`.*classes=None",
    ),
    "boxes to mix": (A.cutmix(), X, boxes([0, 0, 1, 1]), "cannot mix 'boxes'.*paste_objects"),
    "integer masks to blend": (
        A.mixup(),
        X,
        {"mask": np.zeros((B, H, W), int)},
        "cannot blend masks of int.*cutmix",
    ),
    "other inputs to mix": (
        A.mixup(classes=3),
        {"image": X, "age": np.ones(B)},
        np.zeros(B, int),
        r"cannot mix inputs\['age'\]",
    ),
    "background without a mask": (A.domain_randomise(), X, None, "needs a 'mask'.*or background=0"),
    "pairs that are not there": (
        A.random_flip(keypoint_pairs=[(0, 5)]),
        X,
        {"keypoints": np.ones((B, 2, 2), np.float32)},
        "of places 0 to 1",
    ),
    "objects too large": (
        A.paste_objects(np.ones((1, 20, 4, 3), np.float32), np.ones((1, 20, 4)), np.zeros(1, int)),
        X,
        None,
        r"objects that fit pictures float32\[16, 12, 14, 3\], got float32\[1, 20, 4, 3\]",
    ),
    "no place for boxes": (
        A.paste_objects(np.ones((1, 2, 4, 3), np.float32), np.ones((1, 2, 4)), np.zeros(1, int)),
        X,
        boxes([0, 0, 3, 3]),
        "needs 'boxes_valid'",
    ),
    "tokens of floats": (
        A.token_swap(),
        np.ones((2, 3)),
        None,
        r"int\[b, t\] as inputs, got float64",
    ),
}


@pytest.mark.thin(26)
@pytest.mark.parametrize("name", BAD_BATCHES)
def test_batches_that_do_not_fit(name):
    augment, inputs, targets, message = BAD_BATCHES[name]
    with pytest.raises(jr.TaskError, match=message) as error:
        augment(KEY, jr.Batch(inputs, targets, np.ones(B)))
    assert "\n" not in str(error.value)


def test_shapes_are_errors_inside_jit_too_and_values_are_not_looked_at():
    batch = jr.Batch(X, {"mask": np.zeros((B, H, W + 1), int)}, None)
    with pytest.raises(jr.TaskError, match="of the size of the pictures"):
        jax.jit(A.random_flip())(KEY, batch)
    jax.jit(A.random_flip())(KEY, jr.Batch(X, boxes([0, 0, 99, 99]), None))


def test_boxes_that_are_not_there_may_be_anywhere_and_validate_can_be_called_alone():
    absent = boxes([9, 9, 99, 0], boxes_valid=np.zeros((B, 1), bool))
    A.random_flip()(KEY, jr.Batch(X, absent, None))
    A.validate(scenes(0))
    with pytest.raises(jr.TaskError, match="validate needs"):
        A.validate(jr.Batch(X, boxes([9, 9, 99, 0]), None))


def shrink(key, batch):
    return batch._replace(inputs=batch.inputs[:, ::2])


CHANGES = {
    "shape": (shrink, r"changes inputs from float32\[16,12,14,3\] to float32\[16,6,14,3\]"),
    "dtype": (
        lambda key, batch: batch._replace(inputs=batch.inputs > 0.5),
        r"to bool\[16,12,14,3\]",
    ),
    "targets": (A.mixup(classes=5), r"changes targets from int32\[16\] to float32\[16,5\]"),
    "structure": (
        lambda key, batch: batch._replace(targets={"class": batch.targets}),
        "changes the structure",
    ),
    "no batch": (lambda key, batch: (batch.inputs, batch.targets), "returned a tuple"),
}


@pytest.mark.thin(12)
@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("name", CHANGES)
def test_an_augmentation_that_changes_the_layout_is_caught(name, jit):
    augment, message = CHANGES[name]
    batch = jr.Batch(jnp.asarray(X), jnp.arange(B) % 5, jnp.ones(B))
    for wrapped in (A.checked(augment), A.apply_with(0.5, augment), A.one_of(augment)):
        with pytest.raises(jr.TaskError, match=message):
            (jax.jit(wrapped) if jit else wrapped)(KEY, batch)


@pytest.mark.exhaustive
def test_checked_lets_the_lawful_pass():
    soft = A.checked(A.mixup(classes=5), soft_targets=True)
    batch = labelled(0)._replace(targets=jnp.arange(B) % 5)
    assert soft(KEY, batch).targets.shape == (B, 5)
    out = A.checked(A.random_flip())(KEY, scenes(0))
    np.testing.assert_array_equal(
        out.inputs["image"], A.random_flip()(KEY, scenes(0)).inputs["image"]
    )
    wild = lambda key, batch: batch._replace(targets=boxes([0, 0, 99, 99]))  # noqa: E731
    with pytest.raises(jr.TaskError, match="inside the picture"):
        A.checked(wild)(KEY, jr.Batch(X, boxes([0, 0, 1, 1]), None))
