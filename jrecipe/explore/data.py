"""What is looked at: splits of examples, and how a person sees them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jrecipe.data import Splits, as_source, load
from jrecipe.data.picture_file import PictureFile
from jrecipe.task import Task
from jrecipe.types import PyTree, Source


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Splits of examples; no network is needed to look at them.

    Attributes:
      name: what pages call it.
      splits: name -> examples, "train" first.
      class_names: of the classes 0 to C - 1, or ().
      decode: `(inputs) -> pictures float[b, h, w(, c)] in [0, 1], or b texts`; None to guess.
      table: `(inputs) -> column name -> its values [b]`, where inputs were made of a table; missing
        numbers are NaN.
      texts: split -> its texts as they were stored, where inputs were made of texts.
      files: split -> the file of each example, where inputs were picture files.
      label_noise: share of wrong labels that is declared.
    """

    name: str
    splits: Mapping[str, Source]
    class_names: tuple[str, ...] = ()
    decode: Callable[[PyTree], Any] | None = None
    table: Callable[[PyTree], Mapping[str, np.ndarray]] | None = None
    texts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    files: Mapping[str, Sequence[PictureFile]] = dataclasses.field(default_factory=dict)
    label_noise: float | None = None


def data_of(what: Any, *, target: str | None = None, seed: int = 0) -> Data:
    """Returns what there is to look at.

    Args:
      what: a `jr.Task`, loaded `Splits`, a pair `(inputs, targets)` or a source, or what
        `jr.data.load` takes: the path of a file or folder, "digits", "tfds:NAME".
      target: name of the column of targets, for files.
      seed: of splits that are cut from a file.

    Raises:
      TaskError: if it cannot be read.
    """
    if isinstance(what, Data):
        return what
    if isinstance(what, str | Path):
        what = load(str(what), seed=seed, target=target, skip_damaged=True)
    if isinstance(what, Task):
        return Data(
            name=what.name,
            splits=what.splits,
            class_names=what.class_names,
            decode=what.decode,
            label_noise=what.label_noise,
        )
    if isinstance(what, Splits):
        return Data(
            name=what.name,
            splits={
                name: source
                for name in ("train", "val", "test")
                if len(source := getattr(what, name))
            },
            class_names=what.class_names,
            decode=None if what.encoder is None else what.encoder.decode,
            table=getattr(what.encoder, "columns_of", None),
            texts=what.texts,
            files=what.files,
        )
    return Data(name="data", splits={"train": as_source(what, "data")})
