"""NumPy archives (`.npz`) with inputs and targets under common names."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from jrecipe.data.damage import Damage, DamageError, Notice, refuse
from jrecipe.data.inputs import recognise
from jrecipe.data.splits import Splits, assemble
from jrecipe.types import TaskError

_INPUTS = ("x", "images", "image", "inputs", "data", "features", "texts", "text")
_TARGETS = ("y", "labels", "label", "targets", "target")
_SPLITS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
_NAMES = ("class_names", "label_names", "target_names", "classes")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)


def load_npz(
    path: str | Path,
    *,
    seed: int = 0,
    target: str | None = None,
    kind: str | None = None,
    notice: Notice = refuse,
) -> Splits:
    """Loads an archive with `x` and `y`, or `x_train`, `y_train` and so on.

    Names may be upper or lower case and start or end with the split: `x`, `images`, `inputs`,
    `data`, `features`, `text`; `y`, `labels`, `targets`. `class_names` names the labels 0..C-1.

    Args:
      path: the `.npz` file; pickled objects in it are never loaded.
      seed: of the splits that are cut.
      target: base name of the targets, if it is none of the above.
      kind: "classes", "number" or "multilabel", or None to look.
      notice: told of arrays of a val or test split that are damaged, and of targets that are not
        finite; all else is loaded.

    Raises:
      TaskError: naming the file and what it holds.
    """
    path = Path(path)
    arrays, damaged = _read(path)
    found = _find(arrays, damaged, path, target, notice)
    for split, (inputs, targets) in found.items():
        if len(np.atleast_1d(inputs)) == 0 or len(np.atleast_1d(targets)) == 0:
            raise TaskError(f"{path}: the {split} split is empty; give at least one example.")
    how = recognise(found["train"][0], str(path))
    names = next((arrays[name] for name in _NAMES if name in arrays), np.array([]))
    return assemble(
        path.stem,
        {split: (how.convert(inputs), targets) for split, (inputs, targets) in found.items()},
        where=str(path),
        seed=seed,
        fit=how.fit,
        kind=kind,
        class_names=[str(name) for name in np.atleast_1d(names)],
        notes=how.notes,
        notice=notice,
    )


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays by lower-case name, and by name why the damaged ones cannot be read."""
    arrays, damaged = {}, {}
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(open(path, "rb"))
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise TaskError(f"{path} holds one array, not an .npz archive with x and y.")
            stack.enter_context(archive)
            for name in archive.files:
                try:
                    arrays[name.lower()] = archive[name]
                except ValueError as error:  # an object array, or a broken header
                    raise TaskError(
                        f"{path}: array {name!r} cannot be read without pickle ({error}); save it "
                        "as numbers or text of one dtype."
                    ) from error
                except _DAMAGED as error:
                    damaged[name.lower()] = str(error)
            return arrays, damaged
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of an .npz file.") from error
    except TaskError:
        raise
    except (*_DAMAGED, OSError, ValueError) as error:
        raise TaskError(f"{path} is no readable .npz archive ({error}); save it again.") from error


def _find(
    arrays: dict[str, np.ndarray],
    damaged: dict[str, str],
    path: Path,
    target: str | None,
    notice: Notice,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    targets = (target.lower(),) if target else _TARGETS
    found = {}
    held = {*arrays, *damaged}
    for split, words in _SPLITS.items():
        x, y = _named(held, _INPUTS, split, words), _named(held, targets, split, words)
        if (x is None) != (y is None):
            raise TaskError(
                f"{path}: the {split} split has {'inputs' if y is None else 'targets'} "
                f"{x or y!r} but no {'targets' if y is None else 'inputs'}; it holds "
                f"{_held(arrays)}."
            )
        broken = [name for name in (x, y) if name in damaged]
        for name in broken:
            damage = Damage(
                path=str(path),
                reason=f"array {name!r} is damaged ({damaged[name]})",
                what="file",
                fix="save the archive again",
            )
            if split == "train":
                raise DamageError(damage)
            notice(damage)
        if x is not None and y is not None and not broken:
            found[split] = (arrays[x], arrays[y])
    if "train" not in found:
        raise TaskError(
            f"{path} holds {_held(arrays)}; needed are x and y, or x_train and y_train, and "
            "perhaps x_val, y_val, x_test, y_test (images and labels will do as well)."
        )
    return found


def _named(
    held: Collection[str], bases: tuple[str, ...], split: str, words: tuple[str, ...]
) -> str | None:
    for base in bases:
        for word in words:
            for name in (f"{base}_{word}", f"{word}_{base}", f"{base}{word}", f"{word}{base}"):
                if name in held:
                    return name
        if split == "train" and base in held:
            return base
    return None


def _held(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{n} {a.dtype}{list(a.shape)}" for n, a in arrays.items()) or "nothing"
