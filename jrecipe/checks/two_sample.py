"""Are two splits prepared alike? Differences count if they are both large and no accident."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from jrecipe.checks.probing import same_structure
from jrecipe.types import Array

_PARTS, _PARTED = 16, 512  # random parts of training, and the features looked at in them
_MIXED = 0.1  # share of entries off the commonest value from which a feature is compared by itself


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """How the inputs of another split differ from training inputs, one leaf.

    Attributes:
      scale: root mean square of the other split's nonzero entries over that of training.
      shift: median over features of |difference of means|, in training standard deviations; NaN if
        too few features vary.
      spread: median over features of the ratio of standard deviations; NaN likewise.
      moved: share of features whose means differ by half a standard deviation, not by accident.
      feature: index, in the flattened example, of the feature that differs most.
      feature_shift: its difference of means in training standard deviations, with its sign.
      feature_spread: its ratio of standard deviations.
      noise: standard error of a difference of means, in standard deviations.
      chance_shift: how far `shift` may come by accident, from random parts of training.
      chance_spread: the same for |log `spread`|.
    """

    scale: float
    shift: float
    spread: float
    moved: float
    feature: int
    feature_shift: float
    feature_spread: float
    noise: float
    chance_shift: float
    chance_spread: float


def compare(train: Array, other: Array, seed: int = 0, features: int = 4096) -> Difference:
    """Compares two samples of inputs feature by feature.

    Args:
      train: [n, ...] numbers.
      other: [m, ...] numbers, the same trailing shape.
      seed: decides which features are looked at if there are more than `features`.
      features: how many to look at.
    """
    a, b = (np.asarray(x).reshape(len(x), -1) for x in (train, other))
    picked = np.arange(a.shape[1])
    if len(picked) > features:
        picked = np.sort(np.random.default_rng(seed).choice(len(picked), features, replace=False))
    a, b = (np.nan_to_num(x[:, picked].astype(np.float64)) for x in (a, b))
    scale = _size(b) / max(_size(a), 1e-30)
    noise = float(np.sqrt(1 / len(a) + 1 / len(b)))
    ordered = np.sort(a, axis=0)
    # A value that fills 90 % of a column is the median or a quantile: compare with these three.
    common = np.stack([ordered[int(q * (len(a) - 1))] for q in (0.05, 0.5, 0.95)])
    off = 1 - (a[None] == common[:, None]).mean(axis=1).max(axis=0)
    use = np.flatnonzero((off >= _MIXED) & (a.std(axis=0) > 0))
    if len(use) == 0:
        nan = float("nan")
        return Difference(
            scale=scale,
            shift=nan,
            spread=nan,
            moved=0.0,
            feature=0,
            feature_shift=0.0,
            feature_spread=1.0,
            noise=noise,
            chance_shift=5 * noise,
            chance_spread=5 * noise,
        )
    shift, spread = _moments(a[:, use], b[:, use])
    chance = _chance(a[:, use], len(b), noise, seed)
    strange = np.maximum(np.abs(shift) / 5, np.abs(np.log(np.maximum(spread, 1e-9))) / np.log(10))
    worst = int(np.argmax(strange))
    # Unequal spreads widen the error of the mean beyond that of equal ones.
    error = np.sqrt(1 / len(a) + spread**2 / len(b))
    return Difference(
        scale=scale,
        shift=float(np.median(np.abs(shift))),
        spread=float(np.median(spread)),
        moved=float(np.mean((np.abs(shift) > 0.5) & (np.abs(shift) > 6 * error))),
        feature=int(picked[use[worst]]),
        feature_shift=float(shift[worst]),
        feature_spread=float(spread[worst]),
        noise=noise,
        chance_shift=chance[0],
        chance_spread=chance[1],
    )


def unseen_share(train: Array, other: Array, seed: int = 0) -> tuple[float, float]:
    """Returns the share of ids in another split that training lacks, and what chance explains.

    Args:
      train: integers [n, ...].
      other: integers [m, ...].
      seed: decides the halves of training; ids of one half that the other lacks are chance.
    """
    ids = np.asarray(other).reshape(-1)
    unseen = float((~np.isin(ids, np.unique(np.asarray(train)))).mean()) if ids.size else 0.0
    order = np.random.default_rng(seed).permutation(len(train))
    half = len(order) // 2
    if half == 0:
        return unseen, 1.0
    left, right = np.asarray(train)[order[:half]], np.asarray(train)[order[half:]]
    return unseen, float((~np.isin(right.reshape(-1), np.unique(left))).mean())


def leaves_in_common(train: object, other: object) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Returns `(path, train leaf, other leaf)` for leaves of equal trailing shape; else none."""
    if not same_structure(train, other):
        return []
    pairs = zip(jax.tree_util.tree_leaves_with_path(train), jax.tree.leaves(other), strict=True)
    return [
        (jax.tree_util.keystr(path), np.asarray(a), np.asarray(b))
        for (path, a), b in pairs
        if np.shape(a)[1:] == np.shape(b)[1:]
    ]


def _moments(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns by feature the difference of means, in deviations of `a`, and ratio of deviations."""
    std = np.maximum(a.std(axis=0), 1e-30)
    return (b.mean(axis=0) - a.mean(axis=0)) / std, b.std(axis=0) / std


def _chance(train: np.ndarray, rows: int, noise: float, seed: int) -> tuple[float, float]:
    """Returns how far the medians over features come apart by accident: mean and 5 deviations.

    Features that move together make a median as noisy as one of them, independent ones make it
    much quieter. Random parts of training against the rest show which; their noise is brought to
    the sizes in question, and never exceeds that of a single feature.
    """
    rng = np.random.default_rng(seed)
    if train.shape[1] > _PARTED:
        train = train[:, rng.choice(train.shape[1], _PARTED, replace=False)]
    part = min(rows, len(train) // 2)
    if part < 2:
        return 5 * noise, 5 * noise
    parts = []
    for _ in range(_PARTS):
        order = rng.permutation(len(train))
        shift, spread = _moments(train[order[part:]], train[order[:part]])
        parts.append((np.median(np.abs(shift)), abs(np.log(max(np.median(spread), 1e-30)))))
    found = np.asarray(parts)
    scale = noise / np.sqrt(1 / part + 1 / (len(train) - part))
    limits = np.minimum((found.mean(axis=0) + 5 * found.std(axis=0)) * scale, 5 * noise)
    return float(limits[0]), float(limits[1])


def _size(table: np.ndarray) -> float:
    """Returns the root mean square of the entries that are not 0, winsorised against outliers."""
    values = np.abs(table[table != 0])
    if values.size == 0:
        return 0.0
    return float(
        np.sqrt(np.mean(np.minimum(values, np.quantile(values, 0.99, method="lower")) ** 2))
    )
