"""Folders of pictures, one folder per class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.data.encode import ImageEncoder
from jrecipe.data.picture_file import PictureFile, read_header
from jrecipe.data.pictures import SUFFIXES, PictureFiles, common_shape, joined, read_sound
from jrecipe.data.splits import BUDGET, Splits, assemble
from jrecipe.types import TaskError

_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def load_folder(
    root: str | Path,
    *,
    seed: int = 0,
    size: int | tuple[int, int] | None = None,
    budget: int = BUDGET,
    notice: Notice = refuse,
) -> Splits:
    """Loads `root/CLASS/*.png`, or `root/train/CLASS/*.png` with perhaps `val` and `test` beside.

    Pictures are brought to one size; `Splits.notes` says to which. Splits that fit into `budget`
    are held in memory, others are read as they are needed. Rows are in an order drawn by `seed`, as
    that of the folders is the order of the classes.

    Args:
      root: the folder.
      seed: of the splits that are cut, and of the order.
      size: (height, width) of the pictures, or one number for both; None takes the commonest.
      budget: bytes of encoded pictures per split.
      notice: told of files that are no pictures and of classes without any; all others are loaded.
        Unless it is `refuse`, pictures of splits that do not fit are decoded for it once more.

    Raises:
      TaskError: naming the folder without pictures or the file that cannot be read.
    """
    root = Path(root)
    folders = {
        split: next((root / word for word in words if (root / word).is_dir()), None)
        for split, words in _SPLITS.items()
    }
    if folders["train"] is None:
        folders = {"train": root, "val": None, "test": None}
    headers = {
        split: _headers(folder, root) for split, folder in folders.items() if folder is not None
    }
    known = [
        header
        for classes in headers.values()
        for files in classes.values()
        for header in files
        if isinstance(header, PictureFile)
    ]
    shape = common_shape(known, size)
    raw = {}
    for split, classes in headers.items():
        files, names = _read(classes, shape, budget, notice)
        order = np.random.default_rng((seed % 2**32, 67)).permutation(len(names))
        if len(names) or split == "train":
            raw[split] = (joined(files, order), names[order])
    if not len(raw["train"][0]):
        raise TaskError(f"{folders['train']} holds no picture that can be read; put some in.")
    return assemble(
        root.resolve().name,
        raw,
        where=str(root),
        seed=seed,
        fit=ImageEncoder.fit,
        kind="classes",
        notes=_resized([files for files, _ in raw.values()]),
        notice=notice,
        budget=budget,
    )


def picture_files(folder: Path) -> list[Path]:
    """Returns the picture files in a folder and below, sorted; hidden ones are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def _headers(folder: Path, root: Path) -> dict[Path, list[PictureFile | Damage]]:
    """Returns the folder of each class of a split -> its picture files, damaged ones among them."""
    classes = {
        child: picture_files(child)
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    if not any(classes.values()):
        loose = len([p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES])
        what = f"{loose} pictures, but no folder of pictures" if loose else "no picture"
        raise TaskError(
            f"{folder} holds {what}; put the pictures of each class into a folder named after it "
            f"({', '.join(sorted(SUFFIXES))})."
        )
    return {
        child: [read_header(path, child, root) for path in paths]
        for child, paths in classes.items()
    }


def _read(
    classes: Mapping[Path, Sequence[PictureFile | Damage]],
    shape: tuple[int, int, int],
    budget: int,
    notice: Notice,
) -> tuple[list[PictureFiles], np.ndarray]:
    """Reads a split: the sound pictures of each class, and the class name str[n] of each."""
    hold = sum(map(len, classes.values())) * math.prod(shape) * 4 <= budget
    parts, names = [], []
    for child, headers in classes.items():
        sound = read_sound(headers, shape, notice, hold=hold)
        if not len(sound):
            notice(
                Damage(
                    path=str(child),
                    reason="no picture in it can be read"
                    if headers
                    else "a class without a picture",
                    what="class",
                    fix="put pictures in, or remove the folder",
                    stops=False,
                )
            )
        parts.append(sound)
        names += [child.name] * len(sound)
    return parts, np.array(names, str)


def _resized(parts: Sequence[PictureFiles]) -> tuple[str, ...]:
    """Says how many pictures have another size than they are brought to."""
    files = [(file, part.shape) for part in parts for file in part.files]
    others = sum((file.height, file.width) != shape[:2] for file, shape in files)
    height, width, _ = parts[0].shape
    said = f"{others} of {len(files)} pictures were resized to {height}x{width} pixels."
    return (said,) if others else ()
