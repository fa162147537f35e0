"""New files as a network takes them: encoded as its training data were, or arrays as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jrecipe.data import Encoder, read_new
from jrecipe.types import PyTree, TaskError


def new_inputs(
    files: Sequence[str], encoder: Encoder | None, like: PyTree
) -> tuple[PyTree, list[str]]:
    """Reads new files for a trained network.

    Args:
      files: at least one.
      encoder: of the training data, None if the network takes arrays as they are.
      like: inputs [b, ...] each, or their shapes, for networks without an encoder.

    Returns:
      `(inputs, a name for each example)`.

    Raises:
      TaskError: naming the file that is missing or does not fit.
    """
    if encoder is not None:
        new = read_new(files, encoder)
        return new.inputs, new.names
    read = [_arrays(Path(file), like) for file in files]
    inputs = jax.tree.map(lambda *parts: np.concatenate(parts), *(part for part in read))
    counts = [len(jax.tree.leaves(part)[0]) for part in read]
    return inputs, [f"{f}[{row}]" for f, n in zip(files, counts, strict=True) for row in range(n)]


def _arrays(path: Path, like: PyTree) -> PyTree:
    """Reads inputs with the structure, shapes and kind of numbers of `like`."""
    if path.suffix not in (".npy", ".npz"):
        raise TaskError(f"{path} is no .npy or .npz file; a task of your own takes arrays only.")
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            found = loaded if isinstance(loaded, np.ndarray) else dict(loaded)
    except FileNotFoundError as error:
        raise TaskError(f"{path} does not exist; give the path of a file.") from error
    except (OSError, ValueError, EOFError) as error:
        raise TaskError(f"{path} holds no readable arrays ({error}); save it again.") from error
    if isinstance(found, dict) and not isinstance(like, dict):
        names = [name for name in ("x", "inputs", "images") if name in found] or list(found)
        if len(names) != 1:
            raise TaskError(f"{path} holds {', '.join(names) or 'nothing'}; call the inputs 'x'.")
        found = found[names[0]]
    wanted, given = str(jax.tree.structure(like)), str(jax.tree.structure(found))
    if wanted != given:
        raise TaskError(f"{path} holds {given}, but the network takes {wanted}; save it like that.")

    def fit(want: Any, got: np.ndarray) -> np.ndarray:
        if got.shape[1:] != want.shape[1:]:
            raise TaskError(
                f"{path} holds examples of shape {list(got.shape[1:])}, but the network takes "
                f"{list(want.shape[1:])}; save [n, ...] of them."
            )
        return got.astype(want.dtype)

    return jax.tree.map(fit, like, found)
