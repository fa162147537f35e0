"""The bundled data set: 1,797 real handwritten digits, 8x8 grey, through scikit-learn."""

from __future__ import annotations

from jrecipe.data.encode import ImageEncoder
from jrecipe.data.split import stratified_split
from jrecipe.data.splits import Splits, assemble


def load_digits(seed: int = 0) -> Splits:
    """Loads the digits, cut 60/20/20 by seed with every class in every part.

    Inputs are float32[n, 8, 8, 1], stored values 0 to 16; targets int32[n], 0 to 9.

    References:
      Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
    """
    from sklearn.datasets import load_digits as read

    images, labels = read(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    parts = stratified_split(labels, (0.6, 0.2, 0.2), seed)
    raw = {
        split: (images[rows], labels[rows])
        for split, rows in zip(("train", "val", "test"), parts, strict=True)
    }
    return assemble(
        "digits",
        raw,
        where="digits",
        seed=seed,
        fit=lambda pictures: ImageEncoder.fit(pictures, high=16.0),
        kind="classes",
        class_names=[str(digit) for digit in range(10)],
        notes=["The digits were cut 60/20/20 into train, val and test, stratified by class."],
    )
