"""The data that several of the loops train on."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from sklearn import datasets

from gallery.planting import Split

Data = tuple[Split, Split]  # training, validation


def hold_out(inputs: np.ndarray, targets: np.ndarray, seed: int) -> Data:
    """Returns a random quarter apart from the rest."""
    rows = np.random.default_rng([seed, 31]).permutation(len(inputs))
    val, train = np.split(rows, [len(rows) // 4])
    return (inputs[train], targets[train]), (inputs[val], targets[val])


def standardise(data: Data, *, targets: bool = False) -> Data:
    """Returns inputs, and targets if told to, by the statistics of the training split."""
    columns = [0, 1] if targets else [0]
    shift = {c: data[0][c].mean(axis=0) for c in columns}
    scale = {c: data[0][c].std(axis=0) for c in columns}
    prepared = [
        tuple(
            ((part - shift[c]) / scale[c]).astype(np.float32) if c in columns else part
            for c, part in enumerate(split)
        )
        for split in data
    ]
    return prepared[0], prepared[1]


@functools.lru_cache(maxsize=4)
def digits(seed: int) -> Data:
    """1200 digits of scikit-learn without the pixels that are nearly always empty."""
    pixels, labels = datasets.load_digits(return_X_y=True)
    rows = np.random.default_rng([seed, 1]).permutation(len(pixels))[:1200]
    pixels = pixels[:, pixels.std(axis=0) > 2.0] / 8.0 - 1.0
    return hold_out(pixels[rows].astype(np.float32), labels[rows].astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def cancer(seed: int) -> Data:
    """Breast cancer: 569 rows, 30 numbers, a yes or no."""
    table, labels = datasets.load_breast_cancer(return_X_y=True)
    return standardise(hold_out(np.log1p(table), labels.astype(np.float32), seed))


@functools.lru_cache(maxsize=4)
def friedman(seed: int) -> Data:
    """Friedman's first function of 10 uniform numbers, targets in their own unit."""
    table, target = datasets.make_friedman1(800, noise=0.5, random_state=seed + 11)
    (x, y), (u, v) = standardise(hold_out(table, target, seed))
    return (x, y.astype(np.float32)), (u, v.astype(np.float32))


@functools.lru_cache(maxsize=4)
def friedman_standardised(seed: int) -> Data:
    """Friedman's first function, the targets standardised too."""
    return standardise(friedman(seed), targets=True)


@functools.lru_cache(maxsize=4)
def waves(seed: int) -> Data:
    """900 noisy waves of 32 samples: sine, square or sawtooth, of any period and phase."""
    draw = np.random.default_rng([seed, 2])
    labels = draw.integers(3, size=900)
    turns = draw.uniform(1.5, 4.0, (900, 1)) * np.linspace(0, 1, 32) + draw.uniform(size=(900, 1))
    sine = np.sin(2 * np.pi * turns)
    shapes = np.stack([sine * np.sqrt(2), np.sign(sine), (2 * (turns % 1) - 1) * np.sqrt(3)])
    signal = shapes[labels, np.arange(900)] + 0.2 * draw.normal(size=(900, 32))
    return hold_out(signal.astype(np.float32), labels.astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def arrows(seed: int) -> Data:
    """1400 pictures 10 x 10 with an arrow to the left (0), to the right (1), or a bar (2)."""
    draw = np.random.default_rng([seed, 3])
    labels = draw.integers(3, size=1400)
    pictures = 0.15 * draw.normal(size=(1400, 10, 10))
    for picture, label in zip(pictures, labels, strict=True):
        row, left, ink = draw.integers(2, 8), draw.integers(0, 5), draw.uniform(0.7, 1.3)
        picture[row, left : left + 6] += ink
        if label == 2:
            continue
        tip, back = (left, 1) if label == 0 else (left + 5, -1)
        for side, reach in itertools.product((-1, 1), (1, 2)):
            picture[row + side * reach, tip + back * reach] += ink
    return hold_out(pictures.astype(np.float32), labels.astype(np.int32), seed)


@functools.lru_cache(maxsize=4)
def clusters(seed: int) -> Data:
    """1000 rows of 8 numbers in 12 clusters that belong to 4 classes."""
    draw = np.random.default_rng([seed, 4])
    centres = 1.6 * draw.normal(size=(12, 8))
    which = draw.integers(12, size=1000)
    table = centres[which] + 0.7 * draw.normal(size=(1000, 8))
    return standardise(hold_out(table, (which % 4).astype(np.int32), seed))


@functools.lru_cache(maxsize=4)
def moons(seed: int) -> Data:
    """Two moons: 600 rows, 2 numbers, 2 classes."""
    table, labels = datasets.make_moons(600, noise=0.15, random_state=seed + 17)
    return standardise(hold_out(table, labels.astype(np.int32), seed))
