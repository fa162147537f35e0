"""A base program on drawn pictures: which pixels belong to the disc, with paired augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr

Split = tuple[Any, Any]
SIDE = 12


def discs(seed: int, train: int = 320, val: int = 120) -> tuple[Split, Split, np.ndarray]:
    """Returns (train, val) of noisy pictures [n, 12, 12, 1] and masks [n, 12, 12], and centres.

    A picture has a disc, which the mask shows, and a bright line, which it does not. The centres
    float32[n, 2] are (x, y) of the discs in 0..1.
    """
    rng = np.random.default_rng([seed, 6])
    n = train + val
    centres, radius = rng.uniform(2.5, 8.5, (n, 2)), rng.uniform(1.8, 2.8, (n, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(x[None] - centres[:, 0, None, None], y[None] - centres[:, 1, None, None])
    masks = (far < radius).astype(np.float32)
    line = (y[None] == rng.integers(0, SIDE, (n, 1, 1))).astype(np.float32)
    bright = np.maximum(masks, line) + 0.25 * rng.normal(size=masks.shape)
    bright = ((bright - bright.mean()) / bright.std()).astype(np.float32)[..., None]
    train_split, val_split = (bright[:train], masks[:train]), (bright[train:], masks[train:])
    return train_split, val_split, (centres / (SIDE - 1)).astype(np.float32)


def pixel_loss(outputs: Any, targets: Any) -> Any:
    """A user's own loss: binary cross-entropy, the mean over the pixels of a picture."""
    return optax.sigmoid_binary_cross_entropy(outputs, targets).mean(axis=(1, 2))


def flip_both(key: Any, batch: jr.Batch) -> jr.Batch:
    """Mirrors half of the pictures, and their masks with them."""
    x, y = batch.inputs, batch.targets
    flip = jax.random.bernoulli(key, 0.5, (x.shape[0],))
    return batch._replace(
        inputs=jnp.where(flip[:, None, None, None], x[:, :, ::-1], x),
        targets=jnp.where(flip[:, None, None], y[:, :, ::-1], y),
    )


class Segmenter(nn.Module):
    """Conv_0, Conv_1, head: a logit for each pixel."""

    last: Callable[[Any], Any] = lambda x: x[..., 0]

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 12, 12]."""
        x = nn.relu(nn.Conv(6, (3, 3))(x))
        x = nn.relu(nn.Conv(6, (1, 1))(x))
        bias = nn.initializers.constant(-2.0)  # about one pixel in eight belongs to a disc
        start = nn.initializers.variance_scaling(0.3, "fan_in", "normal")
        return self.last(nn.Conv(1, (3, 3), kernel_init=start, bias_init=bias, name="head")(x))


def segmentation(seed: int, **changes: Any) -> jr.Task:
    """Which pixels belong to the disc; pictures and masks are mirrored together (Linen)."""
    train, val = changes.pop("data", None) or discs(seed)[:2]
    base: dict[str, Any] = {
        "model": Segmenter(),
        "loss": pixel_loss,
        "train": train,
        "val": val,
        "optimizer": optax.adam(1e-2),
        "augment": flip_both,
        "batch_size": 16,
        "name": "segmentation",
    }
    return jr.Task(**{**base, **changes})
