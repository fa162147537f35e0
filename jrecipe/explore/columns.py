"""What can be told of an example without a network: its label, brightness, length (A4, A7)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping

import jax
import numpy as np

from jrecipe.checks.examples import describe_targets
from jrecipe.checks.neighbours import classes_of
from jrecipe.explore.examples import Column
from jrecipe.explore.gather import Gathered

_WORD = re.compile(r"\w+")
_CHUNK = 1024  # examples whose annotations are in memory together
_FEATURES = 24  # numbers of an input that become columns of their own


def target_columns(gathered: Gathered) -> Iterator[Column]:
    """Yields the label or the number, or how many annotations an example has."""
    names = gathered.data.class_names
    classes = classes_of(gathered.targets)
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(gathered.targets)]
    n = len(gathered)
    if classes is not None:
        yield Column("label", label_names(classes, names), "class that is stored")
    elif len(leaves) == 1 and leaves[0].size == n:
        yield Column("target", leaves[0].reshape(n), "number that is stored")
    else:
        texts: list[str] = []
        for start in range(0, n, _CHUNK):
            places = np.arange(start, min(start + _CHUNK, n))
            targets = jax.tree.map(lambda x, p=places: np.asarray(x)[p], gathered.targets)
            marked = gathered.annotate(places)
            texts += describe_targets(gathered.data, targets, gathered.reading, marked)
        yield Column("target", np.array(texts), "what is stored, shortened")
        yield Column("annotations", count_annotations(leaves), "targets that are not empty")


def distinct(*columns: Column) -> tuple[Column, ...]:
    """Returns columns with names of their own: of a table's column "row" it makes "row (input)"."""
    found: dict[str, Column] = {}
    for column in columns:
        name = column.name
        while name in found:
            name += " (input)" if column.input else "_"
        found[name] = dataclasses.replace(column, name=name)
    return tuple(found.values())


def label_names(classes: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Returns the name of each class, str[n]; its number where it has none."""
    values, which = np.unique(classes, return_inverse=True)
    known = [names[v] if 0 <= v < len(names) else str(v) for v in values.tolist()]
    return np.array(known)[which]


def count_annotations(leaves: list[np.ndarray]) -> np.ndarray:
    """Returns how many annotations each example has, int[n].

    Of flags [n, c] the ones that are set; of boxes, tags and points [n, k, ...] those that are not
    padding: not all 0, not all -1 and not NaN. Masks [n, h, w] count their classes but 0.

    Args:
      leaves: targets with a common leading axis n.
    """
    count = np.zeros(len(leaves[0]), int)
    for leaf in leaves:
        if leaf.ndim == 3 and leaf.dtype.kind in "iub" and min(leaf.shape[1:]) > 4:
            kinds = [len(np.setdiff1d(np.unique(mask), [0])) for mask in leaf]
            count = np.maximum(count, kinds)
        elif leaf.ndim == 2:
            count = np.maximum(count, (np.nan_to_num(leaf) > 0).sum(axis=1))
        elif leaf.ndim >= 3:
            parts = leaf.reshape(*leaf.shape[:2], -1)
            empty = (parts == 0) | (parts == -1) | (parts != parts)
            count = np.maximum(count, (~empty.all(axis=2)).sum(axis=1))
    return count


def trivial_columns(gathered: Gathered) -> Iterator[Column]:
    """Yields what is known of inputs without looking at what they show."""
    if gathered.texts is not None:
        texts = gathered.texts
        letters = np.array([len(text) for text in texts])
        yield Column("characters", letters, "length of the text")
        yield Column("words", np.array([len(_WORD.findall(text)) for text in texts]), "of the text")
        odd = np.array([sum(ord(letter) > 127 for letter in text) for text in texts])
        yield Column("non_ascii", odd / np.maximum(letters, 1), "share of characters")
    elif gathered.pictures is not None:
        yield from _of_pictures(gathered.pictures)
    elif gathered.data.table is not None:
        yield from _of_table(gathered.data.table(gathered.inputs))
    else:
        yield from _of_numbers([np.asarray(leaf) for leaf in jax.tree.leaves(gathered.inputs)])


def _of_pictures(pictures: np.ndarray) -> Iterator[Column]:
    parts = np.array_split(pictures, max(1, len(pictures) // 4096))
    mean, spread, edges, hue = [], [], [], []
    for part in parts:
        some = part.astype(np.float32) / 255
        mean.append(some.mean(axis=(1, 2, 3)))
        spread.append(some.std(axis=(1, 2, 3)))
        edges.append(np.abs(np.diff(some, axis=2)).mean(axis=(1, 2, 3)))
        hue.append(np.ptp(some, axis=3).mean(axis=(1, 2)))
    yield Column("brightness", np.concatenate(mean), "mean of the pixels, 0 black to 1 white")
    yield Column("contrast", np.concatenate(spread), "deviation of the pixels")
    yield Column("sharpness", np.concatenate(edges), "mean step from a pixel to the next")
    if pictures.shape[3] == 3:
        yield Column("colour", np.concatenate(hue), "mean range of red, green and blue, 0 is grey")


def _of_table(table: Mapping[str, np.ndarray]) -> Iterator[Column]:
    missing = sum(np.isnan(values) for values in table.values() if values.dtype.kind == "f")
    if np.any(missing):
        yield Column("missing", np.asarray(missing, int), f"of {len(table)} columns are empty")
    for name, values in table.items():
        yield Column(name, values, "column of the table", input=True)


def _of_numbers(leaves: list[np.ndarray]) -> Iterator[Column]:
    n = len(leaves[0])
    missing = np.zeros(n, int)
    zeros = np.zeros(n, int)
    total = 0
    for leaf in leaves:
        table = leaf.reshape(n, -1)
        total += table.shape[1]
        zeros += (table == 0).sum(axis=1)
        if table.dtype.kind == "f":
            missing += (~np.isfinite(table)).sum(axis=1)
    if missing.any():
        yield Column("missing", missing, f"of {total} numbers are NaN or infinite")
    if total > 1:
        yield Column("zeros", zeros, f"of {total} numbers are 0")
    if total <= _FEATURES:
        names = [f"x{i}" for i in range(total)]
        tables = np.concatenate([leaf.reshape(n, -1) for leaf in leaves], axis=1)
        for name, values in zip(names, tables.T, strict=True):
            yield Column(name, values, "of the input, as the network takes it", input=True)
