"""What does each augmentation do to a picture, and does what belongs to it follow?

Question: none but looking (B10): every augmentation on one rendered scene, with the outline of its
mask, its boxes and its key points drawn where the augmentation says that they are.

Command: python experiments/augmentation_gallery.py --out docs/augmentation.png
Result: docs/augmentation.png, in docs/augmentation.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from PIL import Image

import jrecipe as jr
from jrecipe import augment

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIZE, COLUMNS, SEED = 64, 9, 13
SEEDS = {"random_shear(25)": 2, "rand_augment(2, 8)": 5, "trivial_augment": 6}  # that show more


def scenes() -> jr.Batch:
    """Returns rendered scenes; the first is shown."""
    source = jr.data.SyntheticShapes(
        count=3000, size=SIZE, objects=4, texture=0.3, noise=0.0, targets="all", seed=11
    )
    inputs, targets = source.take(np.array([957, 1943, 2420, 603]))
    return jax.tree.map(jnp.asarray, jr.Batch(inputs, targets, np.ones(4, np.float32)))


def objects() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns pictures, masks and classes of single shapes, to be put into scenes."""
    source = jr.data.SyntheticShapes(
        count=8, size=24, targets="all", texture=0.0, noise=0.0, seed=2
    )
    inputs, targets = source.take(np.arange(8))
    return inputs, targets["mask"] > 0, targets["boxes_class"][:, 0] + 1


def shown() -> dict[str, Any]:
    """Returns what is shown, by title."""
    return {
        "as it is": augment.compose(),
        "random_flip": augment.random_flip(1.0),
        "random_flip_vertical": augment.random_flip_vertical(1.0),
        "random_crop(12)": augment.random_crop(12),
        "random_translate(12)": augment.random_translate(12),
        "random_rotate(45)": augment.random_rotate(45),
        "random_scale": augment.random_scale((0.5, 0.7)),
        "random_shear(25)": augment.random_shear(25),
        "random_perspective(0.6)": augment.random_perspective(0.6),
        "random_affine": augment.random_affine(45, translate=0.1, scale=(0.7, 1.3), shear=15),
        "the same, mode='reflect'": augment.random_affine(
            45, translate=0.1, scale=(0.7, 1.3), shear=15, mode="reflect"
        ),
        "random_brightness": augment.random_brightness(0.7),
        "random_contrast": augment.random_contrast(0.9),
        "random_saturation": augment.random_saturation(2.0),
        "random_hue(90)": augment.random_hue(90),
        "random_grey": augment.random_grey(1.0),
        "random_blur": augment.random_blur((1.5, 2.0)),
        "random_noise(0.2)": augment.random_noise(0.2),
        "random_erase": augment.random_erase(1.0, area=(0.05, 0.2)),
        "..., value='noise'": augment.random_erase(1.0, area=(0.05, 0.2), value="noise"),
        "cutout(20)": augment.cutout(20),
        "rand_augment(2, 8)": augment.rand_augment(2, 8.0),
        "trivial_augment": augment.trivial_augment(),
        "domain_randomise": augment.domain_randomise(1.0),
        "paste_objects": augment.paste_objects(*objects(), count=2),
        "mixup": augment.mixup(share=0.6, classes=9),
        "cutmix": augment.cutmix(share=0.6, classes=9),
    }


def draw(axis: Any, batch: jr.Batch, title: str) -> None:
    """Draws the first picture of a batch, and what is known about it."""
    axis.imshow(np.clip(np.asarray(batch.inputs[0]), 0, 1), extent=(0, SIZE, SIZE, 0))
    axis.set_title(title, fontsize=7, pad=2)
    axis.axis("off")
    if not isinstance(batch.targets, dict):
        return
    facts = {name: np.asarray(leaf[0]) for name, leaf in batch.targets.items()}
    at = np.arange(SIZE) + 0.5
    axis.contour(at, at, facts["mask"] > 0, levels=[0.5], colors="white", linewidths=0.7)
    for (x0, y0, x1, y1), valid in zip(facts["boxes"], facts["boxes_valid"], strict=True):
        if valid:
            box = plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, color="yellow", lw=0.8)
            axis.add_patch(box)
    there = facts["keypoints"][facts["keypoints_valid"]]
    axis.plot(
        *there.T, "o", color="red", markersize=2, markeredgecolor="white", markeredgewidth=0.3
    )


def main() -> None:
    """Draws the gallery."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/augmentation.png"))
    given = parser.parse_args()
    batch, parts = scenes(), shown()
    plain = batch._replace(targets=batch.targets["boxes_class"][:, 0])
    lines = -(-len(parts) // COLUMNS)
    figure, axes = plt.subplots(lines, COLUMNS, figsize=(1.25 * COLUMNS, 1.38 * lines))
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, part) in zip(axes.flat, parts.items(), strict=False):
        whole = plain if title in ("mixup", "cutmix") else batch
        draw(axis, part(jax.random.key(SEEDS.get(title, SEED)), whole), title)
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.97, wspace=0.04, hspace=0.12)
    figure.savefig(given.out, dpi=110)
    small = (
        Image.open(given.out)
        .convert("RGB")
        .quantize(256, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG)
    )
    small.save(given.out, optimize=True)
    print(f"{given.out}: {given.out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
