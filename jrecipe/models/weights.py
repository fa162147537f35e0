"""Files of named arrays, without pickles, and how their arrays become a network's variables."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import jax
import numpy as np

from jrecipe.types import PyTree, TaskError

_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt")
_SHOWN = 3  # names of each kind in an error message


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` or `.safetensors` file by name.

    Args:
      path: the file. Nothing in it is executed; formats that would be are refused.

    Raises:
      TaskError: for a missing, damaged or pickled file, or one of another format.
    """
    path = Path(path)
    if path.suffix.lower() in _PICKLES:
        raise TaskError(
            f"{path} is of a pickled format, whose loading runs whatever code it holds; save the "
            "state_dict as .safetensors (safetensors.torch.save_file) or .npz and give that."
        )
    if path.suffix.lower() not in (".npz", ".safetensors"):
        raise TaskError(f"{path} is of unknown format; give an .npz or .safetensors file.")
    if not path.is_file():
        raise TaskError(f"{path} does not exist; give the path of a file with weights.")
    return _read_npz(path) if path.suffix.lower() == ".npz" else _read_safetensors(path)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise TaskError(f"{path} holds one array without a name, not an .npz archive.")
            return {name: archive[name] for name in archive.files}
    except TaskError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise TaskError(
            f"{path} cannot be read as an .npz archive without pickles ({error}); save it again."
        ) from error


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise TaskError(
            f"reading {path} needs the package safetensors; pip install 'jrecipe[pretrained]'."
        ) from error
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(
            f"{path} cannot be read as safetensors ({error}); save it again."
        ) from error


def fill(
    shapes: PyTree,
    arrays: Mapping[str, np.ndarray],
    *,
    name_of: Callable[[tuple[str, ...]], str],
    turn: Callable[[np.ndarray], np.ndarray],
    where: str,
) -> PyTree:
    """Returns variables of a network with the arrays of a file in them.

    Args:
      shapes: the variables' structure, its leaves with a `shape`.
      arrays: by the names of the file.
      name_of: `(path of a leaf in shapes) -> name in the file`.
      turn: `(array of the file) -> array` with the axes in the network's order.
      where: the file, for the message.

    Returns:
      The structure of `shapes` with leaves float32.

    Raises:
      TaskError: if a name is missing, left over, or has another shape or whole numbers, with the
        first of each.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    wanted = {name_of(tuple(key.key for key in path)): leaf.shape for path, leaf in leaves}
    turned = {name: turn(arrays[name]) for name in wanted if name in arrays}
    wrong = [
        f"{name} {list(array.shape)} instead of {list(wanted[name])}"
        for name, array in turned.items()
        if array.shape != wanted[name]
    ]
    found = {
        "lacks": _first(name for name in wanted if name not in arrays),
        "has the unknown": _first(name for name in arrays if name not in wanted),
        "has in another shape (axes in jrecipe's order)": _first(wrong),
        "has as whole numbers": _first(
            f"{name} {array.dtype}"
            for name, array in turned.items()
            if not jax.numpy.issubdtype(array.dtype, np.floating)  # bfloat16 too
        ),
    }
    if any(found.values()):
        said = "; ".join(f"it {what} {names}" for what, names in found.items() if names)
        raise TaskError(
            f"{where} does not fit the network: {said}. Give the weights and the configuration "
            "that were saved together."
        )
    return jax.tree_util.tree_unflatten(
        structure, [np.asarray(turned[name], np.float32) for name in wanted]
    )


def _first(names: Iterable[str]) -> str:
    """Returns the first few names and how many there are more."""
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
