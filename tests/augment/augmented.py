"""One batch and one table of all augmentations of pictures, for the tests of this folder."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jrecipe as jr
from jrecipe import augment as A

B, H, W, C, CLASSES = 16, 12, 14, 3, 5


def pictures(seed: int, channels: int = C) -> np.ndarray:
    """Returns float32[16, 12, 14, c] in [0, 1]."""
    return np.random.default_rng(seed).uniform(size=(B, H, W, channels)).astype(np.float32)


def scenes(seed: int) -> jr.Batch:
    """Returns random pictures with a class, a mask, boxes and key points each."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 5, size=(B, 3, 2))
    targets = {
        "class": rng.integers(0, CLASSES, B).astype(np.int32),
        "mask": rng.integers(0, 3, (B, H, W)).astype(np.int32),
        "boxes": np.concatenate([low, low + rng.uniform(2, 7, (B, 3, 2))], -1).astype(np.float32),
        "boxes_valid": np.tile([True, True, False], (B, 1)),
        "keypoints": rng.uniform(0, 12, size=(B, 3, 2)).astype(np.float32),
        "keypoints_valid": np.ones((B, 3), bool),
    }
    batch = jr.Batch({"image": pictures(seed)}, targets, np.ones(B, np.float32))
    return jax.tree.map(jnp.asarray, batch)


def labelled(seed: int) -> jr.Batch:
    """Returns random pictures with a soft label each, which can be mixed."""
    labels = np.random.default_rng(seed).integers(0, CLASSES, B)
    soft = np.eye(CLASSES, dtype=np.float32)[labels]
    return jr.Batch(jnp.asarray(pictures(seed)), jnp.asarray(soft), jnp.ones(B))


MOVING = {
    "affine": A.random_affine(20, translate=0.1, scale=(0.8, 1.2), shear=10),
    "crop": A.random_crop(2),
    "flip": A.random_flip(),
    "flip-vertical": A.random_flip_vertical(),
    "perspective": A.random_perspective(),
    "rand-augment": A.rand_augment(2, 6.0),
    "rotate": A.random_rotate(20),
    "scale": A.random_scale(),
    "shear": A.random_shear(),
    "translate": A.random_translate(2),
    "trivial-augment": A.trivial_augment(),
}
COLOUR = {
    "brightness": A.random_brightness(),
    "contrast": A.random_contrast(),
    "saturation": A.random_saturation(),
    "hue": A.random_hue(),
    "grey": A.random_grey(0.5),
    "blur": A.random_blur(),
    "noise": A.random_noise(),
    "domain": A.domain_randomise(),
}
HIDING = {"erase": A.random_erase(0.75), "cutout": A.cutout(4)}
_HALF = np.ones((2, 5, 4, C), np.float32) / 2
JOINED = {
    "sometimes": A.apply_with(0.5, A.random_brightness()),
    "one-of": A.one_of(A.random_flip(1.0), A.cutout(4), A.random_brightness()),
    "compose": A.compose(A.random_flip(), A.random_crop(2), A.random_erase()),
    "paste": A.paste_objects(_HALF, np.ones((2, 5, 4), bool), np.array([3, 4])),
}
MIXING = {"mixup": A.mixup(1.0), "cutmix": A.cutmix()}
# Their parts are tested with others; the default run leaves these to `-m slow`.
_ALIKE = {
    *("rotate", "scale", "shear", "flip-vertical", "trivial-augment", "translate", "perspective"),
    *("contrast", "saturation", "brightness", "hue", "blur", "noise", "cutout", "sometimes"),
}


def cases(family: dict) -> list:
    """Returns the names in a family, for `parametrize`."""
    slow = pytest.mark.slow
    return [pytest.param(name, marks=slow if name in _ALIKE else ()) for name in family]


ALL = {**MOVING, **COLOUR, **HIDING, **JOINED, **MIXING}

traces: dict[str, int] = {}


def _counted(name: str):
    def apply(key, batch):
        traces[name] = traces.get(name, 0) + 1
        return ALL[name](key, batch)

    return jax.jit(apply)


JITTED = {name: _counted(name) for name in ALL}


def batch_for(name: str, seed: int) -> jr.Batch:
    """Returns a batch that the augmentation takes; all of one name have one layout."""
    return labelled(seed) if name in MIXING else scenes(seed)


def image(batch: jr.Batch) -> np.ndarray:
    """Returns the pictures."""
    return np.asarray(batch.inputs["image"] if isinstance(batch.inputs, dict) else batch.inputs)
