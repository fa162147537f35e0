"""Faults planted in data, labels, splits and augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import jrecipe as jr
from gallery.bases_digits import (
    MLP,
    digits,
    digits_cnn,
    digits_mlp,
    finetune,
    pictures,
    raw_digits,
    standard,
)
from gallery.bases_pictures import SIDE, discs, segmentation
from gallery.bases_sequences import char_lm, characters, sentences, tagger
from gallery.bases_tables import numbers, rare, regression, tabular_imbalanced
from gallery.planting import Augment, Split, pick, planter, some
from gallery.program import Fault, Strength

plant = planter("data")

# --- labels ------------------------------------------------------------------------------------


def random_labels(seed: int, strength: Strength) -> jr.Task:
    """40 % / 15 % of the training labels are drawn anew."""
    (x, y), val = digits(seed)
    rows = some(len(y), pick(strength, 0.4, 0.15), seed)
    y[rows] = np.random.default_rng(seed).integers(0, 10, len(rows))
    return digits_mlp(seed, data=((x, y), val))


def confused_class(seed: int, strength: Strength) -> jr.Task:
    """70 % / 35 % of the threes are called eights, in training."""
    (x, y), val = pictures(digits(seed))
    threes = np.flatnonzero(y == 3)
    y[threes[some(len(threes), pick(strength, 0.7, 0.35), seed)]] = 8
    return digits_cnn(seed, data=((x, y), val))


def flipped_positives(seed: int, strength: Strength) -> jr.Task:
    """25 % / 8 % of the rows have the other label; nothing about noise is declared."""
    (x, y), val = rare(seed, 0.4)
    rows = some(len(y), pick(strength, 0.25, 0.08), seed)
    y[rows] = 1 - y[rows]
    return tabular_imbalanced(seed, data=((x, y), val), imbalance_intended=False)


def shifted(y: np.ndarray, start: int) -> np.ndarray:
    """Returns the targets moved down by one row from `start` on, as after a lost row."""
    return np.concatenate([y[:start], np.roll(y[start:], 1, axis=0)])


def labels_shifted(seed: int, strength: Strength) -> jr.Task:
    """Every training label / those of the last 40 % belong to the row before."""
    (x, y), val = digits(seed)
    return digits_mlp(seed, data=((x, shifted(y, pick(strength, 0, 288))), val))


def tags_shifted(seed: int, strength: Strength) -> jr.Task:
    """The tags of every sentence / of the last half belong to the sentence before."""
    (x, y), val = sentences(seed)
    return tagger(seed, data=((x, shifted(y, pick(strength, 0, 200))), val))


def numbers_shifted(seed: int, strength: Strength) -> jr.Task:
    """The numbers of all rows / of the last 60 % belong to the row before."""
    (x, y), val = numbers(seed)
    return regression(seed, data=((x, shifted(y, pick(strength, 0, 220))), val))


def shuffled_apart(seed: int, strength: Strength) -> jr.Task:
    """Inputs were shuffled and targets were not: in all / in the second half of training."""
    (x, y), val = pictures(digits(seed))
    start = pick(strength, 0, 240)
    x[start:] = np.random.default_rng(seed).permutation(x[start:])
    return digits_cnn(seed, data=((x, y), val))


def two_labels(seed: int, strength: Strength) -> jr.Task:
    """30 % / 8 % of the training rows come a second time with another label."""
    (x, y), val = digits(seed)
    rows = some(len(y), pick(strength, 0.3, 0.08), seed)
    x, y = np.concatenate([x, x[rows]]), np.concatenate([y, (y[rows] + 3) % 10])
    return digits_mlp(seed, data=((x, y), val))


def label_out_of_range(seed: int, strength: Strength) -> jr.Task:
    """Labels run from 1 to 10 for outputs 0..9 / twelve rows carry the 255 of "unknown"."""
    (x, y), (vx, vy) = digits(seed)
    if strength == "strong":
        return digits_mlp(seed, data=((x, y + 1), (vx, vy + 1)))
    y[some(len(y), 0.025, seed)] = 255
    return digits_mlp(seed, data=((x, y), (vx, vy)))


def own_character(seed: int, strength: Strength) -> jr.Task:
    """The target of a character is that character, not the next: in all / in 60 % of the rows."""
    train, val = characters(seed)

    def forget(split: Split, key: int) -> Split:
        x, y = split
        y, rows = y.copy(), some(len(y), pick(strength, 1.0, 0.6), key)
        y[rows] = x[rows]
        return x, y

    return char_lm(seed, data=(forget(train, seed), forget(val, seed + 1)))


# --- which rows --------------------------------------------------------------------------------


def undeclared_imbalance(seed: int, strength: Strength) -> jr.Task:
    """One row in 50 / in 20 is positive, and nobody said that this is meant."""
    data = rare(seed, pick(strength, 1 / 50, 1 / 20))
    return tabular_imbalanced(seed, data=data, imbalance_intended=False)


def class_missing(seed: int, strength: Strength) -> jr.Task:
    """Training has no 7, 8 and 9 / no 7; validation has."""
    (x, y), val = digits(seed)
    keep = ~np.isin(y, pick(strength, [7, 8, 9], [7]))
    return digits_mlp(seed, data=((x[keep], y[keep]), val))


def repeated_rows(seed: int, strength: Strength) -> jr.Task:
    """Training is 60 rows eight times / half of it is copies of the other half."""
    (x, y), val = numbers(seed)
    rows = np.arange(480) % pick(strength, 60, 240)
    return regression(seed, data=((x[rows], y[rows]), val))


def repeated_pictures(seed: int, strength: Strength) -> jr.Task:
    """A tenth of the pictures fills 60 % / 30 % of the training split."""
    (x, y), val = pictures(digits(seed))
    rows = np.concatenate([np.arange(480), np.resize(np.arange(48), pick(strength, 720, 200))])
    rows = np.random.default_rng(seed).permutation(rows)[:480]
    return digits_cnn(seed, data=((x[rows], y[rows]), val))


def val_in_train(seed: int, strength: Strength) -> jr.Task:
    """All / 15 % of the validation rows are in training too."""
    (x, y), (vx, vy) = rare(seed)
    rows = some(len(vy), pick(strength, 1.0, 0.15), seed)
    order = np.random.default_rng(seed).permutation(len(y))
    x[order[: len(rows)]], y[order[: len(rows)]] = vx[rows], vy[rows]
    return tabular_imbalanced(seed, data=((x, y), (vx, vy)))


def windows_overlap(seed: int, strength: Strength) -> jr.Task:
    """60 % / 20 % of the validation texts are training texts."""
    (x, y), (vx, vy) = characters(seed)
    rows = some(len(vy), pick(strength, 0.6, 0.2), seed)
    vx, vy = vx.copy(), vy.copy()
    vx[rows], vy[rows] = x[: len(rows)], y[: len(rows)]
    return char_lm(seed, data=((x, y), (vx, vy)))


def nearly_in_train(seed: int, strength: Strength) -> jr.Task:
    """60 % / 20 % of the validation pictures are training pictures with a little noise."""
    (x, y), (vx, vy) = discs(seed)[:2]
    rows = some(len(vy), pick(strength, 0.6, 0.2), seed)
    noise = np.random.default_rng(seed).normal(size=x[: len(rows)].shape) * 0.02
    vx[rows], vy[rows] = x[: len(rows)] + noise, y[: len(rows)]
    return segmentation(seed, data=((x, y), (vx, vy)))


def moved_in_train(seed: int, strength: Strength) -> jr.Task:
    """60 % / 20 % of the validation pictures are training pictures, brighter by 2 %."""
    (x, y), (vx, vy) = pictures(digits(seed))
    rows = some(len(vy), pick(strength, 0.6, 0.2), seed)
    vx[rows], vy[rows] = x[: len(rows)] * 1.02, y[: len(rows)]
    return digits_cnn(seed, data=((x, y), (vx, vy)))


def sorted_rows(seed: int, strength: Strength) -> jr.Task:
    """Training is sorted by its labels / two sorted files one after the other."""
    (x, y), val = digits(seed)
    order = np.argsort(y, kind="stable")
    if strength == "weak":
        order = np.concatenate([np.argsort(y[:240], kind="stable"), order[order >= 240]])
    return digits_mlp(seed, data=((x[order], y[order]), val))


def sorted_numbers(seed: int, strength: Strength) -> jr.Task:
    """Training is sorted by its target / by its target in steps of half a deviation."""
    (x, y), val = numbers(seed)
    key = y[:, 0] if strength == "strong" else np.round(2 * y[:, 0])
    order = np.argsort(key, kind="stable")
    return regression(seed, data=((x[order], y[order]), val))


# --- values ------------------------------------------------------------------------------------


def raw_pixels(seed: int, strength: Strength) -> jr.Task:
    """Pictures in 0..255 / in 0..16 go into the network as they are."""
    (x, y), (vx, vy) = raw_digits(seed)
    scale = np.float32(pick(strength, 255 / 16, 1.0))
    return digits_mlp(seed, data=((x * scale, y), (vx * scale, vy)))


def raw_unit(seed: int, strength: Strength) -> jr.Task:
    """Feature 3 is in another unit, 10,000 / 100 times as large as the others."""
    (x, y), (vx, vy) = numbers(seed)
    for split in (x, vx):
        split[:, 3] *= pick(strength, 1e4, 1e2)
    return regression(seed, data=((x, y), (vx, vy)))


def trunk_of_other_scale(seed: int, strength: Strength) -> jr.Task:
    """The trunk learned standardised pictures and gets 0..255 / 0..16."""
    (x, y), (vx, vy) = raw_digits(seed, train=400, val=200, classes=range(5))
    scale = np.float32(pick(strength, 255 / 16, 1.0))
    return finetune(seed, data=((x * scale, y), (vx * scale, vy)))


def val_raw(seed: int, strength: Strength) -> jr.Task:
    """Validation pictures are not standardised / are not centred."""
    options: dict[str, Any] = {"train": 400, "val": 200, "classes": range(5)}
    (x, y), (vx, vy) = raw_digits(seed, **options)
    other = vx if strength == "strong" else standard(vx) + np.float32(0.8)
    return finetune(seed, data=((standard(x), y), (other, vy)))


def val_brighter(seed: int, strength: Strength) -> jr.Task:
    """Validation pictures have twice / 1.3 times the contrast."""
    train, (vx, vy) = discs(seed)[:2]
    return segmentation(seed, data=(train, (vx * np.float32(pick(strength, 2.0, 1.3)), vy)))


def skewed(seed: int) -> tuple[Split, Split]:
    """Returns the regression's data with tails of another weight in each column."""
    (x, y), (vx, vy) = numbers(seed)
    weight = np.linspace(0.2, 0.8, 8, dtype=np.float32)[None]
    x, vx = np.exp(x * weight), np.exp(vx * weight)
    centre = lambda z: ((z - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)  # noqa: E731
    return (centre(x), y), (centre(vx), vy)


def skewed_regression(seed: int) -> jr.Task:
    """The same columns in training and validation."""
    return regression(seed, data=skewed(seed))


def val_columns_moved(seed: int, strength: Strength) -> jr.Task:
    """Validation was read with its columns in reverse / with the first and the last exchanged."""
    train, (vx, vy) = skewed(seed)
    order = pick(strength, [7, 6, 5, 4, 3, 2, 1, 0], [7, 1, 2, 3, 4, 5, 6, 0])
    return regression(seed, data=(train, (vx[:, order], vy)))


def val_targets_raw(seed: int, strength: Strength) -> jr.Task:
    """Targets are standardised in training only: validation keeps 3 y + 20 / y + 0.7."""
    train, (vx, vy) = numbers(seed)
    vy = (3 * vy + 20 if strength == "strong" else vy + 0.7).astype(np.float32)
    return regression(seed, data=(train, (vx, vy)))


def not_a_number(seed: int, strength: Strength) -> jr.Task:
    """5 % of the training rows have a NaN / one has."""
    (x, y), val = numbers(seed)
    rows = some(len(y), pick(strength, 0.05, 0.0), seed)
    x[rows, 5] = np.nan
    return regression(seed, data=((x, y), val))


def infinite_pixel(seed: int, strength: Strength) -> jr.Task:
    """Twenty validation pictures have an infinite pixel / one has."""
    train, (vx, vy) = discs(seed)[:2]
    vx[some(len(vy), pick(strength, 0.16, 0.0), seed), 4, 4, 0] = np.inf
    return segmentation(seed, data=(train, (vx, vy)))


def sentinel(seed: int, strength: Strength) -> jr.Task:
    """-999 stands for "unknown" in feature 4, in 12 % / 2 % of all rows."""
    (x, y), (vx, vy) = rare(seed)
    for split in (x, vx):
        split[some(len(split), pick(strength, 0.12, 0.02), seed), 4] = -999.0
    return tabular_imbalanced(seed, data=((x, y), (vx, vy)))


def same_picture(seed: int, strength: Strength) -> jr.Task:
    """The loader returns the first picture for every row / blank pictures for 30 % of the rows."""
    (x, y), val = digits(seed)
    if strength == "strong":
        x[:] = x[:1]
    else:
        x[some(len(y), 0.3, seed)] = 0.0
    return digits_mlp(seed, data=((x, y), val))


def label_column(seed: int, strength: Strength) -> jr.Task:
    """An eleventh feature is the label / is the label with a little noise."""
    noise = pick(strength, 0.0, 0.05)
    rng = np.random.default_rng(seed)

    def join(split: Split) -> Split:
        x, y = split
        column = 2 * y - 1 + noise * rng.normal(size=len(y))
        return np.concatenate([x, column[:, None]], axis=1).astype(np.float32), y

    train, val = rare(seed)
    return tabular_imbalanced(seed, data=(join(train), join(val)))


def label_in_corner(seed: int, strength: Strength) -> jr.Task:
    """The corner pixel of every / of 90 % of the pictures encodes the class."""

    def mark(split: Split) -> Split:
        x, y = split
        rows = some(len(y), pick(strength, 1.0, 0.9), seed)
        x[rows, 0, 0, 0] = y[rows] / 3.0 - 1.5
        return x, y

    train, val = pictures(digits(seed))
    return digits_cnn(seed, data=(mark(train), mark(val)))


# --- augmentation ------------------------------------------------------------------------------


def mirror(share: float, move: Callable[[Any, Any], Any]) -> Augment:
    """Returns an augmentation that mirrors a share of the pictures, and what `move` does."""

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x = batch.inputs
        flip = jax.random.bernoulli(key, share, (x.shape[0],))
        moved = jnp.where(flip[:, None, None, None], x[:, :, ::-1], x)
        return batch._replace(inputs=moved, targets=move(flip, batch.targets))

    return augment


def masks_stay(seed: int, strength: Strength) -> jr.Task:
    """Half / a tenth of the pictures are mirrored, and no mask is."""
    share = pick(strength, 0.5, 0.1)
    return segmentation(seed, augment=mirror(share, lambda flip, masks: masks))


class Locator(nn.Module):
    """Answers where the disc is: (x, y) in 0..1."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns points [b, 2]."""
        x = nn.relu(nn.Dense(64)(x.reshape(x.shape[0], SIDE * SIDE)))
        bias = nn.initializers.constant(0.5)
        start = nn.initializers.variance_scaling(0.02, "fan_in", "normal")
        return nn.Dense(2, kernel_init=start, bias_init=bias)(nn.relu(nn.Dense(32)(x)))


def move_points(flip: Any, points: Any) -> Any:
    """Mirrors key points (x, y) in 0..1 where the picture was."""
    mirrored = jnp.stack([1.0 - points[:, 0], points[:, 1]], axis=1)
    return jnp.where(flip[:, None], mirrored, points)


def locate(seed: int, augment: Any = None) -> jr.Task:
    """Find the centre of the disc; pictures and points are mirrored together."""
    (x, _), (vx, _), centres = discs(seed)
    return jr.Task(
        model=Locator(),
        loss=jr.losses.l2(),
        train=(x, centres[: len(x)]),
        val=(vx, centres[len(x) :]),
        optimizer=optax.adam(2e-3),
        augment=augment or mirror(0.5, move_points),
        batch_size=16,
        name="locate",
    )


def points_stay(seed: int, strength: Strength) -> jr.Task:
    """Half / a tenth of the pictures are mirrored, and no key point is."""
    return locate(seed, mirror(pick(strength, 0.5, 0.1), lambda flip, points: points))


def noisy(key: Any, batch: jr.Batch) -> jr.Batch:
    """A right augmentation: some noise on every pixel."""
    noise = 0.1 * jax.random.normal(key, batch.inputs.shape)
    return batch._replace(inputs=batch.inputs + noise)


def permuting(share: float) -> Augment:
    """Returns an augmentation that shuffles the first rows of a batch, inputs only."""

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        n = max(2, int(share * batch.inputs.shape[0]))
        x = jnp.concatenate([jnp.roll(batch.inputs[:n], 1, axis=0), batch.inputs[n:]])
        return noisy(key, batch._replace(inputs=x))

    return augment


def inputs_permuted(seed: int, strength: Strength) -> jr.Task:
    """Augmentation moves the pictures of the batch / of a quarter of it by one row."""
    return digits_cnn(seed, augment=permuting(pick(strength, 1.0, 0.25)))


def turned(share: float, labels_too: bool) -> Augment:
    """Returns an augmentation that turns a share of the pictures by half a turn.

    The labels 0 and 1 tell whether a picture is upright; a turned picture has the other one.
    """

    def augment(key: Any, batch: jr.Batch) -> jr.Batch:
        x, y = batch.inputs, batch.targets
        turn = jax.random.bernoulli(key, share, (x.shape[0],))
        moved = jnp.where(turn[:, None, None, None], x[:, ::-1, ::-1], x)
        return batch._replace(inputs=moved, targets=jnp.where(turn, 1 - y, y) if labels_too else y)

    return augment


def upright(seed: int, augment: Any = None) -> jr.Task:
    """Is a 4 or a 7 upright? Turned pictures have the other label."""
    (x, y), (vx, vy) = raw_digits(seed, train=240, val=100, classes=(4, 7))
    rng = np.random.default_rng(seed)

    def label(x: np.ndarray) -> Split:
        x, upside = standard(x).reshape(-1, 8, 8, 1), rng.random(len(x)) < 0.5
        return np.where(upside[:, None, None, None], x[:, ::-1, ::-1], x), upside.astype(np.int32)

    del y, vy
    return digits_mlp(
        seed,
        model=MLPOfPictures(),
        data=(label(x), label(vx)),
        augment=augment or turned(0.5, labels_too=True),
        name="upright",
    )


class MLPOfPictures(nn.Module):
    """Flattens pictures for an MLP with two answers."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Returns logits [b, 2]."""
        return MLP(outputs=2, name="mlp")(x.reshape(x.shape[0], 64))


def labels_not_turned(seed: int, strength: Strength) -> jr.Task:
    """Half / a fifth of the pictures are turned upside down and keep their label."""
    return upright(seed, turned(pick(strength, 0.5, 0.2), labels_too=False))


class SelfChanging:
    """A source that adds noise to the rows that it hands out."""

    def __init__(self, x: np.ndarray, y: np.ndarray, share: float) -> None:
        self.x, self.y, self.share = x, y, share
        self.rng = np.random.default_rng()

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.y)

    def take(self, rows: np.ndarray) -> Split:
        """Returns the rows, some with noise that is never the same."""
        noise = self.rng.normal(size=self.x[rows].shape) * 0.3
        noise = noise * (np.arange(len(self.y)) < self.share * len(self.y))[rows][:, None]
        return (self.x[rows] + noise).astype(np.float32), self.y[rows]


def source_augments(seed: int, strength: Strength) -> jr.Task:
    """All / a fifth of the training rows come with new noise each time they are read."""
    (x, y), val = numbers(seed)
    source = SelfChanging(x, y, pick(strength, 1.0, 0.2))
    return regression(seed).replace(train=source, val=val)


def declared(seed: int) -> jr.Task:
    """Four rows in ten are positive; there is nothing to declare."""
    return tabular_imbalanced(seed, data=rare(seed, 0.4), imbalance_intended=False)


def noisy_cnn(seed: int) -> jr.Task:
    """The CNN with a right augmentation."""
    return digits_cnn(seed, augment=noisy)


BELONGS = "a target belongs to the input beside it"
FAULTS: tuple[Fault, ...] = (
    plant("digits_mlp/random-labels", random_labels, digits_mlp,
          "labels are right", "label-noise", "labels data", "train"),
    plant("digits_cnn/confused-class", confused_class, digits_cnn,
          "labels are right", "label-noise", "labels data", "train"),
    plant("tabular_imbalanced/flipped-labels", flipped_positives, declared,
          "labels are right", "label-noise", "labels data", "train"),
    plant("digits_mlp/labels-shifted", labels_shifted, digits_mlp,
          BELONGS, "labels-shifted", "labels data", "train"),
    plant("tagger/tags-shifted", tags_shifted, tagger,
          BELONGS, "labels-shifted inputs-ignored", "labels data", "train"),
    plant("regression/targets-shifted", numbers_shifted, regression,
          BELONGS, "labels-shifted inputs-ignored", "labels data", "train"),
    plant("digits_cnn/shuffled-apart", shuffled_apart, digits_cnn,
          BELONGS, "labels-shifted label-noise inputs-ignored", "labels data", "train"),
    plant("digits_mlp/two-labels", two_labels, digits_mlp,
          "an input has one label", "label-conflict label-noise", "labels data", "train"),
    plant("digits_mlp/label-out-of-range", label_out_of_range, digits_mlp,
          "labels are among the classes", "label-out-of-range", "labels data", "train"),
    plant("char_lm/own-character", own_character, char_lm,
          "the target is not among the inputs", "label-leak shortcut causal-leak", "data labels"),
    plant("tabular_imbalanced/undeclared-imbalance", undeclared_imbalance, declared,
          "classes are balanced, or imbalance is meant", "imbalance", "data labels", "train"),
    plant("digits_mlp/class-missing", class_missing, digits_mlp,
          "training has every class that is asked for", "missing-class", "data labels split",
          "train"),
    plant("regression/repeated-rows", repeated_rows, regression,
          "training examples differ", "duplicated-rows", "data", "train"),
    plant("digits_cnn/repeated-pictures", repeated_pictures, digits_cnn,
          "training examples differ", "duplicated-rows", "data", "train"),
    plant("tabular_imbalanced/val-in-train", val_in_train, tabular_imbalanced,
          "splits have no example in common", "split-leakage", "split data", "val"),
    plant("char_lm/val-in-train", windows_overlap, char_lm,
          "splits have no example in common", "split-leakage", "split data", "val"),
    plant("segmentation/nearly-in-train", nearly_in_train, segmentation,
          "splits have no example in common", "split-leakage", "split data", "val"),
    plant("digits_cnn/nearly-in-train", moved_in_train, digits_cnn,
          "splits have no example in common", "split-leakage", "split data", "val"),
    plant("digits_mlp/sorted", sorted_rows, digits_mlp,
          "the order of rows says nothing", "unshuffled-data shortcut", "data", "train"),
    plant("regression/sorted", sorted_numbers, regression,
          "the order of rows says nothing", "unshuffled-data shortcut", "data", "train"),
    plant("digits_mlp/raw-pixels", raw_pixels, digits_mlp,
          "inputs are of order 1", "data-on-wrong-scale", "data", "input", "train"),
    plant("regression/raw-unit", raw_unit, regression,
          "inputs are of order 1", "data-on-wrong-scale", "data", "3"),
    plant("finetune/other-preparation", trunk_of_other_scale, finetune,
          "inputs are prepared as for the pre-training", "data-on-wrong-scale", "data", "input",
          "train"),
    plant("finetune/val-prepared-differently", val_raw, finetune,
          "splits are prepared alike", "prepared-differently", "data split", "val"),
    plant("segmentation/val-contrast", val_brighter, segmentation,
          "splits are prepared alike", "prepared-differently", "data split", "val"),
    plant("regression/val-other-columns", val_columns_moved, skewed_regression,
          "splits are prepared alike", "prepared-differently", "data split", "val"),
    plant("regression/val-targets-raw", val_targets_raw, regression,
          "splits are prepared alike", "prepared-differently", "data labels split", "val"),
    plant("regression/nan", not_a_number, regression,
          "values are finite", "not-finite", "data", "train"),
    plant("segmentation/infinite-pixel", infinite_pixel, segmentation,
          "values are finite", "not-finite", "data", "val"),
    plant("tabular_imbalanced/sentinel", sentinel, tabular_imbalanced,
          "numbers are measurements", "sentinel-value", "data", "4"),
    plant("digits_mlp/same-picture", same_picture, digits_mlp,
          "inputs differ", "constant-input constant-feature duplicated-rows", "data", "train"),
    plant("tabular_imbalanced/label-column", label_column, tabular_imbalanced,
          "the target is not among the inputs", "label-leak shortcut", "data", "10"),
    plant("digits_cnn/label-in-corner", label_in_corner, digits_cnn,
          "the target is not among the inputs", "label-leak shortcut", "data", "0"),
    plant("segmentation/masks-stay", masks_stay, segmentation,
          "targets follow inputs", "augmentation-breaks-labels", "augmentation", "flip", "target"),
    plant("locate/points-stay", points_stay, locate,
          "targets follow inputs", "augmentation-breaks-labels", "augmentation", "flip", "target"),
    plant("digits_cnn/inputs-permuted", inputs_permuted, noisy_cnn,
          "targets follow inputs", "augmentation-breaks-labels labels-shifted", "augmentation"),
    plant("upright/labels-not-turned", labels_not_turned, upright,
          "targets follow inputs", "augmentation-breaks-labels", "augmentation"),
    plant("regression/source-augments", source_augments, regression,
          "a row is the same whenever it is read", "hidden-randomness",
          "data augmentation", "train"),
)  # fmt: skip
