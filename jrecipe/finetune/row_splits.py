"""Which file of a folder of texts is which split (A5)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from jrecipe.data.order import epoch_order
from jrecipe.finetune.rows import SUFFIXES, TextRows, read_rows
from jrecipe.finetune.tfds_rows import read_tfds_rows
from jrecipe.types import TaskError

_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev", "development"),
    "test": ("test",),
}


def read_splits(
    path: str | Path,
    *,
    seed: int = 0,
    val_share: float = 0.1,
    data_dir: str | Path | None = None,
) -> dict[str, TextRows]:
    """Returns the rows of each split of a data set of texts.

    Args:
      path: a file, see `read_rows`, or a folder with `train.*` and perhaps `dev.*` (also `val.*`,
        `valid.*`, `validation.*`) and `test.*`; each may end in `.gz`. Or "tfds:NAME" or
        "tfds:NAME:CONFIG", a set that TensorFlow Datasets has prepared (see `read_tfds_rows`).
      seed: decides which rows are for validation where there is no file of them.
      val_share: their share then, in (0, 1).
      data_dir: where tfds has its prepared sets.

    Returns:
      "train" and "val", and "test" if there is one.

    Raises:
      TaskError: if there are no such files or no such set, or two files for one split.
    """
    if str(path).startswith("tfds:"):
        rows = read_tfds_rows(str(path).removeprefix("tfds:"), data_dir)
    elif (path := Path(path)).is_dir():
        files = {split: _file_of(path, split) for split in _NAMES}
        if files["train"] is None:
            names = ", ".join(sorted(p.name for p in path.iterdir())[:6]) or "nothing"
            raise TaskError(
                f"{path} has no file of training rows, only {names}; call it train.jsonl, "
                "train.csv, train.conll or the like."
            )
        rows = {split: read_rows(file) for split, file in files.items() if file is not None}
    else:
        rows = {"train": read_rows(path)}
    if "val" not in rows:
        whole = rows["train"]
        count = max(1, round(val_share * len(whole)))
        if len(whole) < 2:
            raise TaskError(f"{path} has {len(whole)} rows; give at least 2, one to validate by.")
        order = epoch_order(len(whole), seed, 0)
        rows["train"] = rows_at(whole, np.sort(order[count:]))
        rows["val"] = rows_at(whole, np.sort(order[:count]))
    return rows


def rows_at(rows: TextRows, places: np.ndarray) -> TextRows:
    """Returns the rows int[k] of a file, which still know their lines."""
    return dataclasses.replace(
        rows,
        rows=tuple(rows.rows[i] for i in places),
        lines=tuple(rows.lines[i] for i in places) if rows.lines else (),
    )


def _file_of(folder: Path, split: str) -> Path | None:
    """Returns the file of a split, None if there is none."""
    found = [
        file
        for file in sorted(folder.iterdir())
        if file.is_file()
        and file.name.split(".")[0].lower() in _NAMES[split]
        and file.name.lower().removesuffix(".gz").endswith(SUFFIXES)
    ]
    if len(found) > 1:
        raise TaskError(
            f"{folder} has {' and '.join(file.name for file in found)} for one split; leave one."
        )
    return found[0] if found else None
