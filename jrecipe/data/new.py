"""New examples for a trained model: files read and encoded as the training data were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jrecipe.data.encode import Encoder, ImageEncoder, TabularEncoder, TextEncoder, VectorEncoder
from jrecipe.data.folder import picture_files
from jrecipe.data.pictures import SUFFIXES, read_picture
from jrecipe.data.table_file import is_table, read_table
from jrecipe.types import TaskError


class NewExamples(NamedTuple):
    """Encoded examples without targets.

    Attributes:
      inputs: float32[n, ...], as the network takes them.
      names: n names: files, or lines of a file.
    """

    inputs: np.ndarray
    names: list[str]


def read_new(paths: Sequence[str | Path], encoder: Encoder) -> NewExamples:
    """Reads new files as the encoder's training data were read.

    Args:
      paths: at least one. For pictures: picture files and folders of them, which are resized, or
        `.npy` and `.npz` arrays. For texts: tables with the text column, or `.txt` with one text
        per line. For tables: CSV, TSV or JSONL with the training columns. For vectors: `.npy`,
        `.npz`, or tables of numbers.
      encoder: that of the training data.

    Raises:
      TaskError: naming the file that is missing or does not fit.
    """
    if not paths:
        raise TaskError("there is no file to read; give at least one path.")
    parts = [_read(Path(path), encoder) for path in paths]
    return NewExamples(
        np.concatenate([part.inputs for part in parts]),
        [name for part in parts for name in part.names],
    )


def _read(path: Path, encoder: Encoder) -> NewExamples:
    if not path.exists():
        raise TaskError(f"{path} does not exist; give the path of a file.")
    if path.suffix in (".npy", ".npz") and isinstance(encoder, ImageEncoder | VectorEncoder):
        raw = _array(path)
        return NewExamples(encoder.encode(raw), [f"{path}[{row}]" for row in range(len(raw))])
    if isinstance(encoder, ImageEncoder):
        files = picture_files(path) if path.is_dir() else [path]
        if not files or (path.is_file() and path.suffix.lower() not in SUFFIXES):
            raise TaskError(f"{path} holds no picture; give {', '.join(sorted(SUFFIXES))} or .npy.")
        pictures = np.stack([read_picture(file, encoder.shape) for file in files])
        # Files are 8 bit, whatever range the training pictures were stored in.
        scaled = pictures / 255.0 * (encoder.high - encoder.low) + encoder.low
        return NewExamples(encoder.encode(scaled), [str(file) for file in files])
    if isinstance(encoder, TextEncoder) and path.suffix == ".txt":
        texts = path.read_text(encoding="utf-8").splitlines()
        lines = [line for line, text in enumerate(texts) if text.strip()]
        return NewExamples(
            encoder.encode([texts[line] for line in lines]),
            [f"{path}:{line + 1}" for line in lines],
        )
    if not is_table(path):
        raise TaskError(
            f"{path} does not fit a model of {type(encoder).__name__.removesuffix('Encoder')} "
            "inputs; give a file like the training data's."
        )
    table = read_table(path)
    names = [f"{path}:{line}" for line in table.lines]
    if isinstance(encoder, TextEncoder):
        column = encoder.column or next(iter(table.columns))
        if column not in table.columns:
            raise TaskError(
                f"{path} has no text column {column!r}; it has "
                f"{', '.join(map(repr, table.columns))}."
            )
        texts = ["" if cell is None else str(cell) for cell in table.columns[column]]
        return NewExamples(encoder.encode(texts), names)
    if isinstance(encoder, TabularEncoder):
        return NewExamples(encoder.encode(table.columns), names)
    try:
        values = np.array(list(table.columns.values()), np.float64).T
    except (TypeError, ValueError) as error:
        raise TaskError(f"{path} holds a cell that is no number ({error}); correct it.") from error
    return NewExamples(encoder.encode(values), names)


def _array(path: Path) -> np.ndarray:
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            name = next((n for n in loaded.files if n.lower() in ("x", "images", "inputs")), None)
            return loaded[name or loaded.files[0]]
    except (OSError, ValueError, EOFError, IndexError) as error:
        raise TaskError(f"{path} holds no readable array ({error}); save it again.") from error
