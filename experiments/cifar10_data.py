"""CIFAR-10 from a folder of npz files or from TensorFlow Datasets, as bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import jrecipe as jr

Examples = tuple[np.ndarray, np.ndarray]  # pictures uint8[n, 32, 32, 3] and classes int32[n]


def undo_differences(r: np.ndarray) -> np.ndarray:
    """Returns pictures uint8[n, h, w, 3] from planes G, R - G, B - G, uint8[3, n, h, w].

    Each line of a plane holds differences from the pixel to the left, and its first pixel that from
    the one above; all modulo 256.
    """
    planes = r.copy()
    planes[..., 0] = np.cumsum(planes[..., 0], axis=-1, dtype=np.uint8)
    green, red, blue = np.cumsum(planes, axis=-1, dtype=np.uint8)
    return np.stack([red + green, green, blue + green], axis=-1)


def read_folder(folder: Path) -> tuple[Examples, Examples]:
    """Reads the training examples, train.npz and train_rest.npz together, and those of test.npz.

    Each file holds `r`, see `undo_differences`, and classes `y` uint8[n].
    """

    def read(name: str) -> Examples:
        path = folder / f"{name}.npz"
        if not path.is_file():
            raise jr.TaskError(
                f"--data {folder} has no {path.name}; give a folder with train.npz, "
                "train_rest.npz and test.npz, or tfds:cifar10."
            )
        with np.load(path, allow_pickle=False) as held:
            if not {"r", "y"} <= {*held}:
                raise jr.TaskError(f"{path} needs the arrays r and y, it has {[*held]}.")
            return undo_differences(held["r"]), held["y"].astype(np.int32)

    both = zip(read("train"), read("train_rest"), strict=True)
    x, y = (np.concatenate(parts) for parts in both)
    return (x, y), read("test")


def stored(splits: jr.data.Splits) -> tuple[Examples, Examples]:
    """Returns the pictures of jrecipe's splits as they were stored; training has val with it."""
    encoder = splits.encoder
    if not isinstance(encoder, jr.data.ImageEncoder) or encoder.shape != (32, 32, 3):
        raise jr.TaskError(
            f"the inputs of {splits.name!r} are no pictures of 32 x 32 x 3; give tfds:cifar10."
        )

    def read(source: jr.Source) -> Examples:
        inputs, targets = source.take(np.arange(len(source)))
        return np.rint(255 * encoder.decode(inputs)).astype(np.uint8), targets

    both = zip(read(splits.train), read(splits.val), strict=True)
    x, y = (np.concatenate(parts) for parts in both)
    return (x, y), read(splits.test)
