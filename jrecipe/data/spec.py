"""One word for a data set: a name, a folder or a file."""

from __future__ import annotations

import dataclasses
import difflib
import shlex
from pathlib import Path

from jrecipe.data.damage import Damage, DamageError, Notice, first_of, refuse
from jrecipe.data.digits import load_digits
from jrecipe.data.folder import load_folder, picture_files
from jrecipe.data.idx import is_idx_folder, load_idx
from jrecipe.data.npz import load_npz
from jrecipe.data.splits import Splits
from jrecipe.data.table import is_table_folder, load_table
from jrecipe.data.table_file import is_table
from jrecipe.data.tfds import load_tfds
from jrecipe.types import TaskError

_KINDS = (
    "digits, tfds:NAME, a folder (IDX files, pictures by class, or train.csv), or a file "
    "(.npz, .csv, .tsv, .jsonl, the last three perhaps with .gz)"
)
_SEVERAL = ("file", "line", "target")  # kinds of damage that seldom come alone
_KNOWN = {
    "digits": "digits",
    **{
        name: f"tfds:{name}"
        for name in (
            "ag_news_subset",
            "cifar10",
            "cifar100",
            "emnist",
            "fashion_mnist",
            "imdb_reviews",
            "iris",
            "kmnist",
            "mnist",
            "svhn_cropped",
            "titanic",
        )
    },
}


def load(
    spec: str | Path,
    *,
    seed: int = 0,
    target: str | None = None,
    data_dir: str | Path | None = None,
    kind: str | None = None,
    size: int | tuple[int, int] | None = None,
    skip_damaged: bool = False,
) -> Splits:
    """Loads a data set by name or path, and recognises what it is by its content.

    Args:
      spec: "digits"; "tfds:NAME" or "tfds:NAME:CONFIG"; a folder of IDX files, of pictures by
        class, or with `train.csv` or the like; or a `.npz`, `.csv`, `.tsv` or `.jsonl` file.
      seed: of the splits that are cut, where val or test are not given.
      target: name of the target column, array or feature, where the spec has names.
      data_dir: where tfds has its prepared sets.
      kind: "classes", "number" or "multilabel" to insist, or None to look.
      size: (height, width) for a folder of pictures; by default the commonest.
      skip_damaged: leaves out what is damaged and tells of it in `Splits.damage` (A2), instead of
        raising at the first piece. Splits that cannot be cut are empty then, and there may be a
        single class. Sets of tfds are read as they are.

    Raises:
      TaskError: with the spec and what it could be, or with the file that is damaged; with
        `skip_damaged` if nothing is left, with the first damaged places.

    Example:
      >>> splits = load("digits", seed=0)
      >>> len(splits.train), len(splits.val), len(splits.test), splits.kind
      (1078, 360, 359, 'classes')
    """
    text = str(spec)
    if not skip_damaged:
        try:
            return _load(text, seed, target, data_dir, kind, size, refuse)
        except DamageError as error:
            more = f" 'jrecipe inspect {shlex.quote(text)}' shows all that is damaged."
            raise TaskError(f"{error}{more if error.damage.what in _SEVERAL else ''}") from error
    found: list[Damage] = []
    try:
        splits = _load(text, seed, target, data_dir, kind, size, found.append)
    except TaskError as error:
        if not found:
            raise
        said = str(error).rstrip(".")
        raise TaskError(f"{said}. {_pieces(len(found))} damaged: {first_of(found)}.") from error
    return dataclasses.replace(splits, damage=tuple(found))


def _pieces(count: int) -> str:
    return "1 piece is" if count == 1 else f"{count} pieces are"


def _load(
    text: str,
    seed: int,
    target: str | None,
    data_dir: str | Path | None,
    kind: str | None,
    size: int | tuple[int, int] | None,
    notice: Notice,
) -> Splits:
    if text == "digits":
        return load_digits(seed)
    if text.startswith("tfds:"):
        return load_tfds(
            text.removeprefix("tfds:"), seed=seed, data_dir=data_dir, target=target, kind=kind
        )
    path = Path(text).expanduser()
    if path.is_dir():
        return _load_folder(path, seed, target, kind, size, notice)
    is_npz = path.suffix.lower() == ".npz"
    if not path.exists():
        if is_npz or is_table(path) or path.parent != Path():
            raise TaskError(f"data {text!r} does not exist; it can be {_KINDS}.")
        close = difflib.get_close_matches(text.lower(), _KNOWN, n=1, cutoff=0.7)
        hint = f"; did you mean {_KNOWN[close[0]]!r}?" if close else "."
        raise TaskError(f"data {text!r} is unknown{hint} It can be {_KINDS}.")
    if is_npz:
        return load_npz(path, seed=seed, target=target, kind=kind, notice=notice)
    if is_table(path):
        return load_table(path, seed=seed, target=target, kind=kind, notice=notice)
    raise TaskError(f"data {text!r} is a file of unknown type; it can be {_KINDS}.")


def _load_folder(
    path: Path,
    seed: int,
    target: str | None,
    kind: str | None,
    size: int | tuple[int, int] | None,
    notice: Notice,
) -> Splits:
    if is_idx_folder(path):
        return load_idx(path, seed=seed, notice=notice)
    if is_table_folder(path):
        return load_table(path, seed=seed, target=target, kind=kind, notice=notice)
    if picture_files(path):
        return load_folder(path, seed=seed, size=size, notice=notice)
    held = ", ".join(sorted(child.name for child in path.iterdir())[:8]) or "nothing"
    raise TaskError(
        f"data {str(path)!r} is a folder without a data set: it holds {held}; put in IDX files, "
        "one folder of pictures per class, or train.csv, train.tsv or train.jsonl."
    )
