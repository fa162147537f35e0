"""Folders of IDX files: MNIST and its family, plain or gzipped."""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import numpy as np

from jrecipe.data.damage import Damage, DamageError, Notice, refuse
from jrecipe.data.encode import ImageEncoder
from jrecipe.data.gzipped import unpack
from jrecipe.data.splits import Splits, assemble
from jrecipe.types import TaskError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_FILE = re.compile(
    r"(?P<prefix>.*?)(?P<split>train|t10k|test|val)-(?P<what>images|labels)[-.]idx\d-ubyte(\.gz)?"
)
_SPLITS = {"train": "train", "t10k": "test", "test": "test", "val": "val"}


def is_idx_folder(folder: Path) -> bool:
    """Says whether a folder holds IDX files under the names of the MNIST family."""
    return any(_FILE.fullmatch(path.name) for path in folder.iterdir())


def load_idx(folder: str | Path, *, seed: int = 0, notice: Notice = refuse) -> Splits:
    """Loads `train-images-idx3-ubyte(.gz)` and its siblings; `t10k` is the test split.

    A file `labels.txt` in the folder, one name per line, gives names to the classes.

    Args:
      folder: holds the files.
      seed: of the validation split, which is cut from the training split.
      notice: told of files that are damaged or cut short; the whole rows before are loaded.

    Raises:
      TaskError: naming the file that is missing or damaged.
    """
    folder = Path(folder)
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir()):
        if match := _FILE.fullmatch(path.name):
            key = (_SPLITS[match["split"]], match["what"])
            if key in files and path.name != f"{files[key].name}.gz":
                raise TaskError(
                    f"{folder} holds two data sets, {files[key].name} and {path.name}; "
                    "keep each in a folder of its own."
                )
            files.setdefault(key, path)  # of a file and its .gz, the plain one
    raw = {}
    for split in ("train", "val", "test"):
        pair = [files.get((split, what)) for what in ("images", "labels")]
        if pair == [None, None] and split != "train":
            continue
        if pair[0] is None or pair[1] is None:
            missing = "images" if pair[0] is None else "labels"
            raise TaskError(
                f"{folder} holds no {split} {missing}; needed is a file like {split}-{missing}-"
                f"idx{3 if missing == 'images' else 1}-ubyte, or the same with .gz."
            )
        try:
            raw[split] = _pair(pair[0], pair[1], notice)
        except TaskError as error:
            if split == "train" or notice is refuse:
                raise
            said = str(error).removeprefix(f"{pair[0]} is").strip(" :.")
            notice(Damage(path=str(pair[0]), reason=said, what="file", fix="get it again"))
    return assemble(
        folder.resolve().name,
        raw,
        where=str(folder),
        seed=seed,
        fit=ImageEncoder.fit,
        kind="classes",
        class_names=_names(folder / "labels.txt", notice),
        notice=notice,
    )


def _pair(images_file: Path, labels_file: Path, notice: Notice) -> tuple[np.ndarray, np.ndarray]:
    """Reads pictures and labels of one split; as many as both files hold, if one is damaged."""
    told: list[Damage] = []

    def tell(damage: Damage) -> None:
        notice(damage)
        told.append(damage)

    images, labels = read_idx(images_file, tell), read_idx(labels_file, tell)
    if images.ndim not in (3, 4) or labels.ndim != 1:
        raise TaskError(
            f"{images_file} has {images.ndim} axes and {labels_file.name} {labels.ndim}; pictures "
            "need 3 (or 4 with channels), labels 1."
        )
    if told:
        both = min(len(images), len(labels))
        images, labels = images[:both], labels[:both]
    if len(images) != len(labels):
        raise TaskError(
            f"{images_file} has {len(images)} pictures, but {labels_file.name} has {len(labels)} "
            "labels; get both files again."
        )
    return images, labels.astype(np.int64)


def _names(path: Path, notice: Notice) -> list[str]:
    """Returns the class names in a file, one per line; none if there is no file."""
    if not path.is_file():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        notice(
            Damage(
                path=str(path),
                line=line,
                reason=f"not UTF-8 ({error.reason})",
                what="file",
                fix="save the file as UTF-8",
            )
        )
        return []
    return [line.strip() for line in lines if line.strip()]


def read_idx(path: str | Path, notice: Notice = refuse) -> np.ndarray:
    """Reads one IDX file, gzipped if its name ends in `.gz`; checks magic number, sizes and length.

    Args:
      path: the file.
      notice: told of a file that is damaged or has not the length that its header says; the whole
        rows of it are returned.

    Returns:
      An array of the stored type in native byte order.

    Raises:
      TaskError: naming the file and what is wrong with it, if `notice` refuses it or no row is
        whole.

    References:
      LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of an IDX file.") from error
    data, wrong = unpack(data) if path.suffix == ".gz" else (data, "")
    if wrong and len(data) < 4:
        raise TaskError(f"{path} is damaged or cut short ({wrong}); get it again.")
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _DTYPES:
        raise TaskError(
            f"{path} is no IDX file: it starts with {data[:4].hex(' ') or 'nothing'} instead of "
            "00 00, a type and a number of axes."
        )
    axes, dtype = data[3], np.dtype(_DTYPES[data[2]])
    start = 4 + 4 * axes
    if axes == 0 or len(data) < start:
        raise TaskError(f"{path} is cut short: its header says {axes} axes; get it again.")
    shape = struct.unpack(f">{axes}I", data[4:start])
    needed = start + math.prod(shape) * dtype.itemsize
    row = math.prod(shape[1:]) * dtype.itemsize
    whole = min(shape[0], (len(data) - start) // row if row else 0)
    if wrong:
        wrong = f"the archive is damaged or cut short ({wrong})"
    elif len(data) != needed:
        state = "cut short" if len(data) < needed else "too long"
        wrong = (
            f"{state}: shape {'x'.join(map(str, shape))} needs {needed} bytes, it has {len(data)}"
        )
    if wrong:
        damage = Damage(
            path=str(path),
            reason=f"{wrong}, {whole} of {shape[0]} rows are whole",
            what="file",
            fix="get it again",
        )
        if whole == 0:
            raise DamageError(damage)
        notice(damage)
        shape = (whole, *shape[1:])
    array = np.frombuffer(data, dtype, count=math.prod(shape), offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
