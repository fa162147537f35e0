"""Folders of IDX files: MNIST and its family, plain or gzipped."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from jrecipe.data.encode import ImageEncoder
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


def load_idx(folder: str | Path, *, seed: int = 0) -> Splits:
    """Loads `train-images-idx3-ubyte(.gz)` and its siblings; `t10k` is the test split.

    A file `labels.txt` in the folder, one name per line, gives names to the classes.

    Args:
      folder: holds the files.
      seed: of the validation split, which is cut from the training split.

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
        images, labels = read_idx(pair[0]), read_idx(pair[1])
        if images.ndim not in (3, 4) or labels.ndim != 1:
            raise TaskError(
                f"{pair[0]} has {images.ndim} axes and {pair[1].name} {labels.ndim}; pictures need "
                "3 (or 4 with channels), labels 1."
            )
        if len(images) != len(labels):
            raise TaskError(
                f"{pair[0]} has {len(images)} pictures, but {pair[1].name} has {len(labels)} "
                "labels; get both files again."
            )
        raw[split] = (images, labels.astype(np.int64))
    named = folder / "labels.txt"
    names = named.read_text(encoding="utf-8").splitlines() if named.is_file() else []
    return assemble(
        folder.resolve().name,
        raw,
        where=str(folder),
        seed=seed,
        fit=ImageEncoder.fit,
        kind="classes",
        class_names=[name.strip() for name in names if name.strip()],
    )


def read_idx(path: str | Path) -> np.ndarray:
    """Reads one IDX file, gzipped if its name ends in `.gz`; checks magic number, sizes and length.

    Returns:
      An array of the stored type in native byte order.

    Raises:
      TaskError: naming the file and what is wrong with it.

    References:
      LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998.
    """
    path = Path(path)
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of an IDX file.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise TaskError(f"{path} is damaged or cut short ({error}); get it again.") from error
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
    if len(data) != needed:
        state = "is cut short" if len(data) < needed else "is too long"
        raise TaskError(
            f"{path} {state}: shape {'x'.join(map(str, shape))} needs {needed} bytes, it has "
            f"{len(data)}; get it again."
        )
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)
