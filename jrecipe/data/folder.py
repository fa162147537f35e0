"""Folders of pictures, one folder per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jrecipe.data.damage import Damage, Notice, refuse
from jrecipe.data.encode import ImageEncoder
from jrecipe.data.pictures import SUFFIXES, PictureFiles, common_shape, sound_pictures
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
    are held in memory, others are read as they are needed.

    Args:
      root: the folder.
      seed: of the splits that are cut.
      size: (height, width) of the pictures, or one number for both; None takes the commonest.
      budget: bytes of encoded pictures per split.
      notice: told of files that are no pictures and of classes without any; all others are loaded.
        Unless it is `refuse`, every file is decoded once more, before the pictures are read.

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
    found = {
        split: _by_class(folder, notice) for split, folder in folders.items() if folder is not None
    }
    found = {split: files for split, files in found.items() if files or split == "train"}
    if not found["train"]:
        raise TaskError(f"{folders['train']} holds no picture that can be read; put some in.")
    paths = [path for files in found.values() for path, _ in files]
    shape, notes = common_shape(paths, size)
    raw = {
        split: (
            PictureFiles(tuple(path for path, _ in files), shape),
            np.array([name for _, name in files]),
        )
        for split, files in found.items()
    }
    return assemble(
        root.resolve().name,
        raw,
        where=str(root),
        seed=seed,
        fit=ImageEncoder.fit,
        kind="classes",
        notes=notes,
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


def _by_class(folder: Path, notice: Notice) -> list[tuple[Path, str]]:
    """Returns `(file, class name)` of all pictures in the folders of one split."""
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
    files = []
    for child, paths in classes.items():
        sound = paths if notice is refuse else sound_pictures(paths, notice)
        if not sound:
            notice(
                Damage(
                    path=str(child),
                    reason="no picture in it can be read" if paths else "a class without a picture",
                    what="class",
                    fix="put pictures in, or remove the folder",
                    stops=False,
                )
            )
        files += [(path, child.name) for path in sound]
    return files
