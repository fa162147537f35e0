"""A data set ready to train on: three splits, what the targets are, and how inputs were encoded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.data.encode import EncodedSource, Encoder, TextEncoder, pick, select
from jrecipe.data.labels import read_targets
from jrecipe.data.picture_file import PictureFile
from jrecipe.data.pictures import PictureFiles
from jrecipe.data.source import ArraySource, as_source
from jrecipe.data.split import stratified_split
from jrecipe.types import Source, TaskError

BUDGET = 2**30  # bytes of encoded inputs per split that are kept in memory
_SHARE = 0.2  # of the training examples, for a split that is missing


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set as three sources.

    Attributes:
      name: what reports call it.
      train: the training split.
      val: for every decision during training.
      test: read once, at the end.
      kind: "classes" (targets int32[n] in 0..C-1), "number" (float32[n] or [n, k]) or "multilabel"
        (float32[n, C] of 0 and 1).
      class_names: the C names, or ().
      encoder: made the inputs from what was stored; fitted on the training split only. None if the
        inputs are as they were stored.
      notes: what the loader decided, in sentences, for the report.
      texts: of each split as they were stored, where inputs are texts; an encoder may keep less of
        them than a person reads.
      files: of each split the file of every row, where each input is a picture file.
      damage: what could not be read and is in no split; empty where damage is refused.
    """

    name: str
    train: Source
    val: Source
    test: Source
    kind: str
    class_names: tuple[str, ...] = ()
    encoder: Encoder | None = None
    notes: tuple[str, ...] = ()
    texts: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict, repr=False)
    files: Mapping[str, Sequence[PictureFile]] = dataclasses.field(default_factory=dict, repr=False)
    damage: tuple[Damage, ...] = ()


def assemble(
    name: str,
    raw: Mapping[str, tuple[Any, Any]],
    *,
    where: str,
    seed: int,
    fit: Callable[[Any], Encoder] | None,
    kind: str | None = None,
    class_names: Sequence[str] = (),
    notes: Sequence[str] = (),
    budget: int = BUDGET,
    notice: Notice = refuse,
) -> Splits:
    """Cuts missing splits from the training split, fits the encoder on what is left, and encodes.

    Args:
      name: of the data set.
      raw: "train", and perhaps "val" and "test" -> `(raw inputs, raw targets)`.
      where: the file or data set, for error messages.
      seed: of the cuts.
      fit: `(raw training inputs) -> encoder`, or None to leave the inputs as they are.
      kind: what the targets are, or None to look.
      class_names: of the stored integers 0..C-1, if known.
      notes: what the loader decided so far.
      budget: bytes of encoded inputs above which a split is encoded as it is read.
      notice: told of targets that are not finite, of a class that is the only one, and of examples
        too few to be cut. If it returns, these rows are left out, and a split that cannot be cut is
        empty.

    Raises:
      TaskError: if the targets or the inputs cannot be understood, or `notice` refuses them.
    """
    raw = {split: part for split, part in raw.items() if part is not None}
    for split, (inputs, values) in raw.items():
        count = len(np.asarray(values))
        if rows_of(inputs) != count:
            raise TaskError(
                f"{where}: {split} has {rows_of(inputs)} inputs, but {count} targets; "
                "give one target per input."
            )
        raw[split] = _finite(inputs, values, f"{where} ({split})", notice)
        if len(raw[split][1]) == 0:
            raise TaskError(f"{where}: the {split} split is empty; give at least one example.")
    targets = read_targets(
        {split: values for split, (_, values) in raw.items()},
        where,
        kind=kind,
        names=class_names,
        notice=notice,
    )
    said = [*notes, *targets.notes]
    parts = {split: (raw[split][0], targets.values[split]) for split in raw}
    for split in ("test", "val"):
        if split not in parts:
            parts = _cut(parts, split, seed, where, notice)
            said.append(
                f"No {split} split was given; a fifth of the training split was cut for it."
                if len(parts[split][1])
                else f"No {split} split was given, and there are too few examples to cut one."
            )
    if targets.kind == "classes":
        said += _rare(parts, targets.names)
    files = {s: x.files for s, (x, _) in parts.items() if isinstance(x, PictureFiles)}
    if fit is None:
        ready = {
            s: as_source((x, y), f"{where} {s}") if len(y) else ArraySource(x, y)
            for s, (x, y) in parts.items()
        }
        encoder = None
    else:
        parts = {s: (_read_if_small(x, budget), y) for s, (x, y) in parts.items()}
        encoder = fit(parts["train"][0])
        ready = {s: encoded(x, y, encoder, budget) for s, (x, y) in parts.items()}
        if isinstance(ready["train"], EncodedSource):
            said.append("The inputs do not fit in memory and are read as they are needed.")
    return Splits(
        name=name,
        train=ready["train"],
        val=ready["val"],
        test=ready["test"],
        kind=targets.kind,
        class_names=targets.names,
        encoder=encoder,
        notes=tuple(said),
        texts={s: x for s, (x, _) in parts.items()} if isinstance(encoder, TextEncoder) else {},
        files=files,
    )


def encoded(raw: Any, targets: np.ndarray, encoder: Encoder, budget: int = BUDGET) -> Source:
    """Returns a source of raw inputs and targets, encoded at once if they fit in `budget` bytes."""
    rows = rows_of(raw)
    if rows * encoder.size * 4 > budget:
        return EncodedSource(raw, targets, encoder)
    return ArraySource(encoder.encode(pick(raw, np.arange(rows))), targets)


def rows_of(raw: Any) -> int:
    """Returns how many examples raw inputs hold: an array, a list, or a dict of columns."""
    return len(next(iter(raw.values()))) if isinstance(raw, Mapping) else len(raw)


def _read_if_small(raw: Any, budget: int) -> Any:
    """Reads a reader of pictures at once if it fits, so that no file is decoded twice."""
    if hasattr(raw, "subset") and len(raw) * math.prod(raw.shape) * 4 <= budget:
        return raw.take(np.arange(len(raw)))
    return raw


def _finite(inputs: Any, values: Any, where: str, notice: Notice) -> tuple[Any, Any]:
    """Leaves out the rows whose targets are NaN or infinite, and tells of each."""
    array = np.asarray(values)
    if array.dtype.kind != "f" or bool(np.isfinite(array).all()):
        return inputs, values
    good = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    for row in np.flatnonzero(~good):
        notice(
            Damage(
                path=where,
                reason=f"the target of row {row} is NaN or infinite",
                what="target",
                fix="drop this row",
            )
        )
    return select(inputs, np.flatnonzero(good)), array[good]


def _cut(
    parts: dict[str, Any], split: str, seed: int, where: str, notice: Notice
) -> dict[str, Any]:
    inputs, targets = parts["train"]
    if len(targets) < 3:
        count = f"{len(targets)} training example{'s' if len(targets) > 1 else ''}"
        notice(
            Damage(
                path=where,
                reason=f"{count}, too few to cut a {split} split from",
                what="few",
                fix="give more",
            )
        )
        nothing = np.arange(0)
        return parts | {split: (select(inputs, nothing), targets[nothing])}
    share = max(_SHARE, 1.0 / len(targets))
    rest, cut = stratified_split(targets, (1.0 - share, share), seed)
    return parts | {
        "train": (select(inputs, rest), targets[rest]),
        split: (select(inputs, cut), targets[cut]),
    }


def _rare(parts: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Says which classes are missing from which split."""
    notes = []
    for split, (_, targets) in parts.items():
        if len(targets) == 0:
            continue
        missing = np.flatnonzero(np.bincount(targets, minlength=len(names)) == 0)
        if len(missing):
            shown = ", ".join(repr(names[i]) for i in missing[:5])
            more = "" if len(missing) <= 5 else f" and {len(missing) - 5} more"
            notes.append(f"The {split} split has no example of class {shown}{more}.")
    return notes
