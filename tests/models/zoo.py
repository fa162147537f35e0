"""Every network of the zoo, tiny, with inputs for it: for the tests that hold for all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jrecipe import models

B, CLASSES, STEPS, VOCABULARY = 4, 5, 6, 11


class Member(NamedTuple):
    """A network of the zoo.

    Attributes:
      make: `(outputs, **options) -> module`.
      shape: of one input; None for token ids int[STEPS].
      features: shape of what the last layer sees, for one example.
      options: a tiny size.
      normed: whether it has BatchNorm.
      bad: shape of an input it refuses, and a word of the way out; None if it takes all.
    """

    make: Any
    shape: tuple[int, ...] | None
    features: tuple[int, ...]
    options: dict[str, Any]
    normed: bool = False
    bad: tuple[tuple[int, ...], str] | None = ((2, 8, 8), "x[..., None]")


ZOO = {
    "convnet": Member(models.ConvNet, (8, 8, 1), (4,), {"width": 2, "depth": 1, "dropout": 0.3}),
    "gpt": Member(
        models.GPT,
        None,
        (STEPS, 8),
        {"length": 8, "width": 8, "depth": 1, "heads": 2, "dropout": 0.3},
        bad=((2, 9), "length=9"),
    ),
    "gru": Member(
        models.GRU,
        None,
        (6,),
        {"vocabulary": VOCABULARY, "width": 6, "embedding": 4, "pool": "mean", "dropout": 0.3},
        bad=((2, 3, 4), "int[b, t]"),
    ),
    "lenet": Member(models.LeNet, (12, 14, 1), (84,), {}, bad=((2, 8, 8, 1), "12 pixels")),
    "linear": Member(models.Linear, (3, 2), (6,), {}, bad=None),
    "lstm": Member(
        models.LSTM, (STEPS, 3), (6,), {"width": 6, "dropout": 0.3}, bad=((2, 3), "vocabulary=")
    ),
    "mlp": Member(models.MLP, (3, 2), (8,), {"width": 8, "depth": 1, "dropout": 0.3}, bad=None),
    "resnet18": Member(
        models.ResNet, (16, 20, 3), (16,), {"width": 2, "dropout": 0.3}, normed=True
    ),
    "resnet50": Member(models.ResNet, (16, 20, 3), (64,), {"depth": 50, "width": 2}, normed=True),
    "resnet8-cifar": Member(
        models.ResNetCifar,
        (8, 9, 2),
        (2 * 3 * 8,),
        {"depth": 8, "width": 2, "head": "flatten", "dropout": 0.3},
        normed=True,
    ),
    "resnet9": Member(
        models.ResNet9,
        (8, 9, 3),
        (16,),
        {"width": 2, "dropout": 0.3},
        normed=True,
        bad=((2, 4, 8, 3), "8 pixels"),
    ),
    "squeezenet": Member(
        models.SqueezeNet, (31, 33, 3), (512,), {"dropout": 0.3}, bad=((2, 30, 40, 3), "31 pixels")
    ),
    "vit": Member(
        models.ViT,
        (8, 12, 3),
        (8,),
        {"patch_size": 4, "width": 8, "depth": 1, "heads": 2, "dropout": 0.3},
        bad=((2, 8, 9, 3), "does not divide"),
    ),
    "vit-gap": Member(
        models.ViT,
        (8, 12, 3),
        (8,),
        {"patch_size": 4, "width": 8, "depth": 1, "heads": 2, "head": "gap"},
    ),
}


def module_of(name: str, **options: Any) -> Any:
    """Returns the tiny network; the outputs of `gpt` are its vocabulary."""
    member = ZOO[name]
    return member.make(VOCABULARY if name == "gpt" else CLASSES, **member.options, **options)


def inputs_of(name: str, rng: np.random.Generator, rows: int = B) -> np.ndarray:
    """Returns inputs for the network."""
    shape = ZOO[name].shape
    if shape is None:
        return rng.integers(0, VOCABULARY, (rows, STEPS)).astype(np.int32)
    return rng.normal(size=(rows, *shape)).astype(np.float32)
