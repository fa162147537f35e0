"""Rows of texts out of sets that TensorFlow Datasets has prepared (J5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data.tfds import open_tfds, records_of
from jrecipe.finetune.rows import Row, TextRows


def read_tfds_rows(name: str, data_dir: str | Path | None = None) -> dict[str, TextRows]:
    """Returns the rows of each split of a set, with plain values under the set's own names.

    Texts are `str`; classes are their names, or None where a set keeps the label back; sequences
    are lists, and a sequence of dicts is a list of dicts, where a dict of SQuAD's answers has
    "text" and "start".

    Args:
      name: as "glue:sst2", data set and config.
      data_dir: where the sets were prepared; by default where `tfds` puts them.

    Returns:
      "train", and "val" and "test" where there are such rows, and classes for any of them.

    Raises:
      TaskError: unknown name, or a set that is not prepared as array records; it says how to.
    """
    builder, sources, called = open_tfds(name, data_dir)
    features = dict(sorted(builder.info.features.items()))
    plain = {key: _reader(feature) for key, feature in features.items()}
    rows = {}
    for split, word in called.items():
        found = [
            {key: read(record[key]) for key, read in plain.items()}
            for record in records_of(sources[word])
        ]
        if split == "train" or not _kept_back(found, features):
            rows[split] = TextRows(tuple(found), f"tfds:{name} {word}")
    return rows


def _kept_back(rows: Sequence[Row], features: Mapping[str, Any]) -> bool:
    """Tells whether a split has classes, but never says which."""
    import tensorflow_datasets as tfds

    classes = [key for key, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
    return bool(classes) and all(row[key] is None for row in rows for key in classes)


def _reader(feature: Any) -> Callable[[Any], Any]:
    """Returns what makes a plain value of a decoded one."""
    import tensorflow_datasets as tfds

    if isinstance(feature, tfds.features.ClassLabel):
        return lambda x: feature.int2str(int(x)) if int(x) >= 0 else None
    if isinstance(feature, tfds.features.Sequence):
        inner = feature.feature
        if isinstance(inner, tfds.features.FeaturesDict):
            return lambda x: _dicts(x, {key: _reader(f) for key, f in inner.items()})
        each = _reader(inner)
        return lambda x: [each(one) for one in x]
    if isinstance(feature, tfds.features.FeaturesDict):
        readers = {key: _reader(inner) for key, inner in feature.items()}
        return lambda x: {key: read(x[key]) for key, read in readers.items()}
    return _plain


def _dicts(columns: Any, readers: Mapping[str, Callable[[Any], Any]]) -> list[dict[str, Any]]:
    """Returns a list of dicts from a dict of columns, or from such a list."""
    if isinstance(columns, Mapping):
        columns = [
            dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)
        ]
    return [
        {
            ("start" if key == "answer_start" else key): read(one[key])
            for key, read in readers.items()
        }
        for one in columns
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
